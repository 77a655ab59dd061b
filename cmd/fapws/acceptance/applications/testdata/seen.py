"""Answers with what a handler sees of a request: environ of WSGI, or scope of ASGI, in order."""

import json
import re

OWN_ID = re.compile(r"\b(?!0af7651916cd43dd)([0-9a-f]{32}|[0-9a-f]{16})\b")


def plain(value):
    """Return value, with a type instead of an object that is made for each request."""
    if isinstance(value, dict):
        return [[plain(k), plain(v)] for k, v in value.items()]
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return "b " + str(plain(value.decode("latin-1")))
    if isinstance(value, str):
        return OWN_ID.sub("ID", value)  # each server makes ids and spans of its own
    if value is None or isinstance(value, (str, int, float)):
        return value
    return type(value).__name__


def wsgi(environ, start_response):
    text = json.dumps([plain(environ), len(environ["wsgi.input"].read())])
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Second", "2"), ("x-first", "1")])
    return [text.encode()]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(plain(scope))})
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps([plain(scope), size]).encode()})
