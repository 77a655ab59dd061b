"""Sends responses without an end, and responses that end when the test creates a file."""
import asyncio
import os
import time

PATHS = []


def route(path):
    def add(handler):
        PATHS.append((path, handler))
        return handler

    return add


async def begin(send, kind):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})


@route("/waits")
async def waits(scope, receive, send):
    await begin(send, b"Text/Event-Stream; charset=utf-8")
    try:
        await asyncio.Event().wait()
    finally:
        print("waits ended", flush=True)


@route("/ignores")
async def ignores(scope, receive, send):
    await begin(send, b"text/event-stream")
    while (await receive())["type"] != "http.disconnect":
        pass
    try:
        await asyncio.Event().wait()
    finally:
        print("ignores ended", flush=True)


@route("/cleans")
async def cleans(scope, receive, send):
    await begin(send, b"text/event-stream")
    while (await receive())["type"] != "http.disconnect":
        pass
    await asyncio.sleep(1)
    print("cleans ended", flush=True)


@route("/yields")
async def yields(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    try:
        while True:
            yield b"data: 1\n\n"
            await asyncio.sleep(3600)
    finally:
        print("yields ended", flush=True)


@route("/wsgi")
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    try:
        while True:
            yield b"data: 1\n\n"
            time.sleep(0.01)
    finally:
        print("wsgi ended", flush=True)


@route("/finishes")
async def finishes(scope, receive, send):
    await begin(send, b"text/event-stream" if scope["method"] == "POST" else b"text/plain")
    while not os.path.exists(os.environ["GO_ON"]):
        await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b"data: last\n\n"})
