# Creates objects whose finalizers call the event loop. The garbage collector may run finalizers at any time.
import asyncio
import gc

gc.set_threshold(1, 1, 1)
asked = called = 0


class Closer:
    def __init__(self, loop):
        self.loop, self.itself = loop, self

    def __del__(self):
        global asked
        if self.loop.is_closed():
            return
        asked += 1
        self.loop.call_soon(close)


def close():
    global called
    called += 1


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    loop = asyncio.get_running_loop()
    if scope["path"] == "/lost":
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    else:
        for _ in range(4):
            Closer(loop)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"%d" % (asked - called)})
    if scope["path"] != "/lost":
        Closer(loop)
