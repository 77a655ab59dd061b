"""Sends files with http.response.pathsend. Other paths send a body with a status that has no body."""
import os

HERE = os.path.dirname(os.path.abspath(__file__))


async def app(scope, receive, send):
    assert scope["type"] == "http"
    word, _, rest = scope["path"][1:].partition("/")
    headers = [(b"content-type", b"text/plain")]
    if word == "status":
        await send({"type": "http.response.start", "status": int(rest), "headers": headers})
        await send({"type": "http.response.body", "body": b"hello", "more_body": True})
        await send({"type": "http.response.body", "body": b"world"})
        return
    if word == "length":
        promised, _, pieces = rest.partition("/")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", promised.encode())]})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece.encode() * 5, "more_body": True})
        await send({"type": "http.response.body"})
        return
    if word == "fields":
        await send({
            "type": "http.response.start", "status": 200,
            "headers": [
                (b"X-Upper", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-high", b"\xe9"),
                (b"content-length", b"2"), (b"server", b"mine"), (b"date", b"today"), (b"connection", b"close"),
            ],
        })
        await send({"type": "http.response.body", "body": b"ok"})
        return
    path = os.path.join(HERE, rest) if rest else HERE
    if word == "relative":
        path = os.path.relpath(path)
    if word == "bytes":
        path = path.encode()
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        await send({"type": "http.response.pathsend", "path": path})
    except Exception as error:
        await send({"type": "http.response.body", "body": f"{type(error).__name__}: {error}".encode()})
    else:
        try:
            await send({"type": "http.response.body", "body": b"more"})
        except RuntimeError:
            pass
