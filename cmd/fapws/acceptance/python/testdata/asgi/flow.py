PIECE = b"0123456789abcdef" * 4096
sent = {}


async def answer(send, text):
    body = text.encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


async def download(scope, receive, send):
    """Sends a body. The query is the number of bytes."""
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
    if path.startswith("/download/"):
        await download(scope, receive, send)
    else:
        await answer(send, str(sent.get(path[5:])))
