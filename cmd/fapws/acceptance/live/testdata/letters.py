"""Sends messages to a topic while the asyncio thread, which receives them, is busy with a handler."""
import time

from fapws import _ipc


async def application(scope, receive, send):
    _ipc.receive("t" * 200, lambda data: None)
    for _ in range(300_000):
        while not _ipc.post("t" * 200, b""):
            time.sleep(0.001)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
