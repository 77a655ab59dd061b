"""Background tasks that call sys.exit, and handlers that call stop() of the event loop. Some requests get no
response."""
import asyncio
import sys


async def leaves():
    sys.exit("a task has left")


async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"].startswith("/told"):
        if scope["path"] == "/told/begun":
            await send({"type": "http.response.start", "status": 200})
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    if scope["path"] == "/task":
        await asyncio.wait([asyncio.ensure_future(leaves())])
    elif scope["path"] == "/callback":
        asyncio.get_running_loop().call_soon(sys.exit, "a callback has left")
        await asyncio.sleep(0)
    elif scope["path"] == "/cancelled":
        asyncio.current_task().cancel()
        await asyncio.sleep(0)
    elif scope["path"] == "/stop":
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
