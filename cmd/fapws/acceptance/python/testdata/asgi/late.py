import asyncio

LATE = [
    {"type": "http.response.start", "status": 200}, {"type": "http.response.body", "body": b"late", "more_body": True},
    {"type": "http.response.body", "body": b"late"}, {"type": "http.response.pathsend", "path": __file__},
]
LATE_SOCKET = [
    {"type": "websocket.accept"}, {"type": "websocket.send", "text": "late"},
    {"type": "websocket.send", "bytes": bytes(100000)}, {"type": "websocket.close"},
    {"type": "websocket.http.response.body"},
]
ended, said, tasks = None, [], []


class Calls:
    """The value of a key in an event. When the server reads the value, it sends another event."""

    def __init__(self, send):
        self.send = send

    def __bool__(self):
        try:
            self.send({"type": "http.response.body", "body": b"inner"})
            said.append("sent")
        except RuntimeError as e:
            said.append(type(e).__name__)
        return False


async def later(send, messages):
    await ended.wait()
    for message in messages:
        try:
            await send(message)
            said.append("sent")
        except Exception as e:
            said.append(type(e).__name__)


async def app(scope, receive, send):
    global ended
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if ended is None:
        ended = asyncio.Event()
    path = scope["path"]
    if path == "/said":
        ended.set()
        await asyncio.gather(*tasks)
        body = " ".join(said).encode()
        ended.clear()
        said.clear()
        tasks.clear()
        await send({"type": "http.response.start", "status": 200})
        return await send({"type": "http.response.body", "body": body})
    if path == "/inside":
        await send({"type": "http.response.start", "status": 200})
        return await send({"type": "http.response.body", "body": b"outer", "more_body": Calls(send)})
    socket = scope["type"] == "websocket"
    tasks.append(asyncio.ensure_future(later(send, LATE_SOCKET if socket else LATE)))
    if socket:
        await receive()
        if "open" in path:
            await send({"type": "websocket.accept"})
    elif "head" in path or "body" in path:
        await send({"type": "http.response.start", "status": 200})
        if "body" in path:
            await send({"type": "http.response.body", "body": b"early", "more_body": True})
    if "raise" in path:
        raise ValueError("as it shall")
