"""Asks a TOML language server what it would complete, as an editor does.

    complete.py SERVER FILE LINE COLUMN      (counted from 0)

Prints the labels of the completions as a JSON list. Whatever goes wrong is an exception and a message on stderr.
"""

import json
import pathlib
import subprocess
import sys
import time


def main():
    server, file, line, column = sys.argv[1:]
    path = pathlib.Path(file).resolve()
    process = subprocess.Popen(
        [server, "lsp", "--offline"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )

    def send(message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        process.stdin.flush()

    def receive():
        length = None
        while (header := process.stdout.readline().strip()) != b"":
            name, value = header.split(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length is None:
            raise EOFError("the language server went away")
        return json.loads(process.stdout.read(length))

    def ask(number, method, params):
        send({"id": number, "method": method, "params": params})
        while True:
            message = receive()
            if "method" in message and "id" in message:
                # A question of the server's own: it goes on with any answer.
                send({"id": message["id"], "result": None})
            elif message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(message["error"])
                return message["result"]

    document = {"uri": path.as_uri()}
    folder = {"uri": path.parent.as_uri(), "name": "folder"}
    ask(1, "initialize", {"processId": None, "rootUri": folder["uri"], "workspaceFolders": [folder], "capabilities": {}})
    send({"method": "initialized", "params": {}})
    opened = {**document, "languageId": "toml", "version": 1, "text": path.read_text()}
    send({"method": "textDocument/didOpen", "params": {"textDocument": opened}})
    place = {"line": int(line), "character": int(column)}
    # The server reads the document and its schema beside the questions: until it has, it knows nothing.
    for number in range(2, 200):
        found = ask(number, "textDocument/completion", {"textDocument": document, "position": place})
        items = found["items"] if isinstance(found, dict) else found or []
        if items:
            break
        time.sleep(0.1)
    print(json.dumps([item["label"] for item in items]))
    process.kill()
    process.wait()


main()
