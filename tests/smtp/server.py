"""A mail server for the tests: prints its port, then each mail it takes and each recipient it refuses, as JSON lines.

It ends when its standard input does, so it can't outlive the test that started it.
"""

import argparse
import asyncio
import collections
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

arguments = argparse.ArgumentParser()
arguments.add_argument("--cert")
arguments.add_argument("--key")
arguments.add_argument("--login", help="user:password, demanded after STARTTLS")
arguments.add_argument("--tls", action="store_true", help="TLS from the first byte")
options = arguments.parse_args()


def say(**line):
    print(json.dumps(line), flush=True)


class Handler:
    """Takes mail, but not for everybody."""

    def __init__(self):
        self.tries = collections.Counter()

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        self.tries[address] += 1
        answer = None
        if address.startswith("unknown"):
            answer = "550 5.1.1 no such mailbox"
        elif address.startswith("busy"):
            answer = "450 4.2.0 try again later"
        elif address.startswith("later") and self.tries[address] <= 2:
            answer = "450 4.2.0 greylisted, try again later"
        if answer:
            say(refused=address, answer=answer)
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {
            part.get_content_type(): part.get_content()
            for part in mail.walk()
            if part.get_content_maintype() == "text"
        }
        say(
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            headers=[[name, str(value)] for name, value in mail.items()],
            parts=parts,
            raw=envelope.content.decode("utf-8", "replace"),
            tls=session.ssl is not None or options.tls,
            login=bool(session.authenticated),
        )
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    login = getattr(data, "login", b"").decode() + ":" + getattr(data, "password", b"").decode()
    return AuthResult(success=login == options.login, handled=False)


async def main():
    loop = asyncio.get_running_loop()
    context = None
    if options.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.cert, options.key)
    handler = Handler()
    settings = {"hostname": "localhost", "enable_SMTPUTF8": True, "loop": loop}
    if options.login:
        settings.update(
            authenticator=authenticate, auth_required=True, tls_context=context, require_starttls=True
        )
    elif context and not options.tls:
        settings.update(tls_context=context, require_starttls=True)
    server = await loop.create_server(
        lambda: SMTP(handler, **settings), "127.0.0.1", 0, ssl=context if options.tls else None
    )
    say(port=server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
