"""Bodies that are larger than what either side takes at once."""
import asyncio

PIECE = b"0123456789abcdef" * 4096
gates = {}
sent = {}


def gate(name):
    return gates.setdefault(name, asyncio.Event())


async def answer(send, text):
    body = text.encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


async def upload(scope, receive, send):
    """Reads nothing before /open/<name>, then all of it."""
    name = scope["path"][8:]
    sent[name] = "in"
    await gate(name).wait()
    size, largest, events, more = 0, 0, 0, True
    while more:
        event = await receive()
        body = event["body"]
        more = event["more_body"]
        events += 1
        size += len(body)
        largest = max(largest, len(body))
        if events % 500 == 0:
            await asyncio.sleep(0)
    await answer(send, f"{size} bytes, {largest <= 1 << 20}")


async def download(scope, receive, send):
    """Sends as much as the query says."""
    left = int(scope["query_string"])
    name = scope["path"]
    sent[name] = 0
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(left).encode())]})
    while left:
        piece = PIECE[:left]
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        sent[name] += len(piece)


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise TypeError("http only")
    path = scope["path"]
    if path.startswith("/upload/"):
        await upload(scope, receive, send)
    elif path.startswith("/download/"):
        await download(scope, receive, send)
    elif path.startswith("/open/"):
        gate(path[6:]).set()
        await answer(send, "open")
    else:
        await answer(send, str(sent.get(path[5:])))  # /sent...
