import base64
import json
import os
import threading

goes_on = threading.Event()
made = 0


def application(environ, start_response):
    """Responds with the status, header fields and body size that the request's field X-Asked describes as JSON."""
    path = environ["PATH_INFO"]
    if path == "/lines":
        start_response("200 OK", [("Content-Type", "application/x-ndjson")])
        return lines()
    if path == "/go":
        goes_on.set()
        start_response("204 No Content", [])
        return []
    if path == "/pours":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pours()
    if path == "/made":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % made]
    asked = json.loads(environ["HTTP_X_ASKED"])
    start_response(asked.get("status", "200 OK"), [tuple(pair) for pair in asked["fields"]])
    body = (b"some text, " * asked["size"])[:asked["size"]]
    if asked.get("pieces"):
        return (body[i:i + 700] for i in range(0, len(body), 700))
    return [body]


def lines():
    yield b'{"n": 1}\n'
    goes_on.wait(60)
    goes_on.clear()
    yield b'{"n": 2}\n'


def pours():
    global made
    for _ in range(4000):
        made += 1
        yield base64.b64encode(os.urandom(48000))
