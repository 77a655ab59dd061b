"""Async handlers beside plain ones and an ASGI application."""
import asyncio
import threading

closed = []


async def text(environ, start_response):
    await asyncio.sleep(0.001)
    return f"{environ['PATH_INFO']} on {threading.current_thread().name}"


async def counts(environ, start_response):
    for i in range(5):
        yield f"{i},"
        await asyncio.sleep(0.001)


async def waits(environ, start_response):
    await inner()
    return "never"


async def inner():
    await asyncio.sleep(1000)


async def listens(environ, start_response):
    try:
        yield "begun\n"
        await asyncio.sleep(1000)
    finally:
        closed.append("closed")


def plain(environ, start_response):
    return "plain, " + "".join(closed)


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": f"{scope['root_path']} {scope['path']}".encode()})


PATHS = [("/text", text), ("/counts", counts), ("/waits", waits), ("/listens", listens), ("/plain", plain), ("/app", app)]
