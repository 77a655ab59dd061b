"""Applications that fail in many ways. Their messages are JSON objects in the error log."""
import asyncio
import ctypes
import logging
import threading
import time


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fails":
        raise ValueError('a "quote", a \\, \x1b[31m, \u2028, \udcff, é and \U0001f600\nsecond line')
    if path == "/long":
        raise ValueError("x" * 1000000 + "end")
    if path == "/deep":
        def deep(n):
            if n == 0:
                raise KeyError("deep")
            return deep(n - 1), "%s" % ("x" * 200)
        def other(n):
            return deep(n) if n % 2 else deep(n)
        other(100)
    if path == "/writes":
        environ["wsgi.errors"].write("one\n")
        print("two", "three", file=environ["wsgi.errors"])
        print(file=environ["wsgi.errors"])
    if path == "/late":
        while True:
            time.sleep(0.01)
    if path == "/crashes":
        ctypes.string_at(1)
    if path == "/thread":
        def fails():
            raise OSError("in a thread")
        thread = threading.Thread(target=fails, name="named")
        thread.start()
        thread.join()
    if path == "/logs":
        logging.getLogger("some").warning("%d", "text")
        logging.getLogger("some").warning("logged %s", "text")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    async def forgotten():
        raise LookupError("in a task")
    if scope["path"] == "/asgi/task":
        tasks = [asyncio.ensure_future(forgotten())]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks.clear()
    if scope["path"] == "/asgi/late":
        await asyncio.sleep(3600)
    raise RuntimeError("in a handler")
