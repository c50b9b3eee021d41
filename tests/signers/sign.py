"""Signs and verifies webhooks with the senders' own libraries, for tests/it/signers.rs.

Reads JSON objects from standard input, one a line: {"do": "sign" | "verify", "source", "secret", "body", …}. `sign` prints
{"headers": {…}}, what a request of this sender bears; `verify` prints {"ok": true | false}, what the library says to
`headers` over `body`.
"""

import base64
import datetime
import json
import sys
import urllib.parse


def standard_webhooks(task):
    from standardwebhooks.webhooks import Webhook

    return sign_svix(task, Webhook, "webhook") if task["do"] == "sign" else verify_svix(task, Webhook)


def svix(task):
    from svix.webhooks import Webhook

    return sign_svix(task, Webhook, "svix") if task["do"] == "sign" else verify_svix(task, Webhook)


def sign_svix(task, Webhook, prefix):
    now = datetime.datetime.fromtimestamp(task["now"], tz=datetime.timezone.utc)
    signature = Webhook(task["secret"]).sign("msg_official", now, task["body"])
    return {
        "headers": {
            f"{prefix}-id": "msg_official",
            f"{prefix}-timestamp": str(task["now"]),
            f"{prefix}-signature": signature,
        }
    }


def verify_svix(task, Webhook):
    try:
        Webhook(task["secret"]).verify(task["body"], task["headers"])
    except Exception:
        return {"ok": False}
    return {"ok": True}


def standard_webhooks_v1a(task):
    """The official Python library knows v1 only; libsodium's Ed25519 is the other side here."""
    from nacl.signing import SigningKey, VerifyKey

    if task["do"] == "sign":
        key = SigningKey(base64.b64decode(task["private"].removeprefix("whsk_")))
        content = f"msg_official.{task['now']}.{task['body']}".encode()
        signature = base64.b64encode(key.sign(content).signature).decode()
        return {
            "headers": {
                "webhook-id": "msg_official",
                "webhook-timestamp": str(task["now"]),
                "webhook-signature": f"v1a,{signature}",
            }
        }
    headers = task["headers"]
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{task['body']}".encode()
    version, signature = headers["webhook-signature"].split(",")
    key = VerifyKey(base64.b64decode(task["secret"].removeprefix("whpk_")))
    try:
        key.verify(content, base64.b64decode(signature))
    except Exception:
        return {"ok": False}
    return {"ok": version == "v1a"}


def stripe(task):
    import stripe as library

    if task["do"] == "sign":
        header = library.WebhookSignature.generate_signature_header(
            task["body"], task["secret"], timestamp=task["now"]
        )
        return {"headers": {"stripe-signature": header}}
    try:
        library.Webhook.construct_event(
            task["body"].encode(), task["headers"]["stripe-signature"], task["secret"]
        )
    except library.SignatureVerificationError:
        return {"ok": False}
    return {"ok": True}


def slack(task):
    from slack_sdk.signature import SignatureVerifier

    verifier = SignatureVerifier(task["secret"])
    if task["do"] == "verify":
        return {"ok": verifier.is_valid_request(task["body"], task["headers"])}
    timestamp = str(task["now"])
    signature = verifier.generate_signature(timestamp=timestamp, body=task["body"])
    return {
        "headers": {"x-slack-request-timestamp": timestamp, "x-slack-signature": signature}
    }


def twilio(task):
    from twilio.request_validator import RequestValidator

    validator = RequestValidator(task["secret"])
    parsed = urllib.parse.parse_qs(task["body"], keep_blank_values=True)

    class Form(dict):
        """As web frameworks give it: a name may have several values."""

        def getlist(self, name):
            return self[name]

    form = Form(parsed)
    if task["do"] == "sign":
        return {"headers": {"x-twilio-signature": validator.compute_signature(task["url"], form)}}
    ok = validator.validate(task["url"], form, task["headers"]["x-twilio-signature"])
    return {"ok": bool(ok)}


HANDLERS = {
    "standard-webhooks": standard_webhooks,
    "standard-webhooks-v1a": standard_webhooks_v1a,
    "gitlab": standard_webhooks,
    "svix": svix,
    "stripe": stripe,
    "slack": slack,
    "twilio": twilio,
}

if __name__ == "__main__":
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(HANDLERS[task["source"]](task)), flush=True)
