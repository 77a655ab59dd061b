import base64
import json
import os
import random
import time

made = 0
numbers = json.dumps([{"name": f"item {n}", "price": random.randrange(1000)} for n in range(2500)]).encode()


def application(environ, start_response):
    """Responds with the status, header fields and body size that the request's field X-Asked describes as JSON."""
    path = environ["PATH_INFO"]
    if path == "/lines":
        start_response("200 OK", [("Content-Type", "application/x-ndjson")])
        return lines(environ["HTTP_X_FILE"])
    if path == "/pours":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pours()
    if path == "/made":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % made]
    if path == "/numbers":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [numbers]
    asked = json.loads(environ["HTTP_X_ASKED"])
    start_response(asked.get("status", "200 OK"), [tuple(pair) for pair in asked["fields"]])
    body = (b"some text, " * asked["size"])[:asked["size"]]
    if asked.get("pieces"):
        return (body[i:i + 700] for i in range(0, len(body), 700))
    return [body]


def lines(file):
    """Yields the second line when the file exists."""
    yield b'{"n": 1}\n'
    while not os.path.exists(file):
        time.sleep(0.01)
    yield b'{"n": 2}\n'


def pours():
    global made
    for _ in range(4000):
        made += 1
        yield base64.b64encode(os.urandom(48000))


async def pieces(scope, receive, send):
    """Sends a body in pieces, and its digest as a trailer."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "trailers": True,
                "headers": [(b"content-type", b"text/plain"), (b"etag", b'"v1"')]})
    for more in (True, True, False):
        await send({"type": "http.response.body", "body": b"some text, " * 100, "more_body": more})
    await send({"type": "http.response.trailers",
                "headers": [(b"content-digest", b"sha-256=:AA==:"), (b"x-end", b"1")]})
