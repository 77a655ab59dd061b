"""An ASGI application with the same responses as app.py."""

import asyncio
import json

MEBIBYTE = b"x" * (1 << 20)
CHUNK = b"c" * 128
PART = b"p" * (1 << 16)

TEXT = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
BINARY = (b"content-type", b"application/octet-stream")


async def answer(send, headers, body):
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def hello(receive, send):
    await answer(send, TEXT, b"Hello world!!")


async def json_answer(receive, send):
    body = json.dumps({"message": "Hello, World!"}).encode()
    await answer(send, [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept"),
        (b"x-frame-options", b"DENY"),
        (b"x-request-id", b"0123456789abcdef"),
        (b"content-length", b"%d" % len(body)),
    ], body)


async def echo(receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await answer(send, [BINARY, (b"content-length", b"%d" % len(body))], body)


async def mebibyte(receive, send):
    await answer(send, [BINARY, (b"content-length", b"%d" % len(MEBIBYTE))], MEBIBYTE)


async def generator(receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [BINARY]})
    for _ in range(100):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def count(receive, send):
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await answer(send, TEXT[:1], b"%d" % size)


async def parts(receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [BINARY]})
    for _ in range(160):
        await send({"type": "http.response.body", "body": PART, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def slow(receive, send):
    await asyncio.sleep(0.2)
    await hello(receive, send)


HANDLERS = {
    "/hello": hello,
    "/json": json_answer,
    "/echo": echo,
    "/mebibyte": mebibyte,
    "/generator": generator,
    "/count": count,
    "/parts": parts,
    "/slow": slow,
}


async def websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        await send({"type": "websocket.send", "text": message["text"]})


async def application(scope, receive, send):
    if scope["type"] == "http":
        await HANDLERS[scope["path"]](receive, send)
    elif scope["type"] == "websocket":
        await websocket(receive, send)
