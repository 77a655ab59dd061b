import asyncio
import hashlib
import json

enough = asyncio.Event()


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    path = scope["path"]
    if path == "/scope":
        await answer(send, json.dumps({"http_version": scope["http_version"], "scheme": scope["scheme"],
                                       "headers": [[n.decode(), v.decode()] for n, v in scope["headers"]]}).encode())
    elif path == "/echo":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})
    elif path == "/digest":
        sha, n, more = hashlib.sha256(), 0, True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            sha.update(message["body"])
            n += len(message["body"])
        await answer(send, b"%d %s" % (n, sha.hexdigest().encode()))
    elif path == "/unread":
        await enough.wait()
        await answer(send, b"")
    elif path == "/enough":
        enough.set()
        await answer(send, b"")
    elif path == "/large":
        await answer(send, bytes(20 << 20))
    elif path == "/trailers":
        assert "http.response.trailers" in scope["extensions"] or scope["method"] == "HEAD"
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        if scope["query_string"] == b"file":
            await send({"type": "http.response.pathsend", "path": __file__})
        else:
            await send({"type": "http.response.body", "body": b"x" * int(scope["query_string"])})
        await send({
            "type": "http.response.trailers", "headers": [(b"X-Sum", scope["query_string"]), (b"x-a", b"b" * 10000)],
            "more_trailers": True,
        })
        await send({"type": "http.response.trailers", "headers": [(b"x-a", b"c")]})
    else:
        await answer(send, b"early")


async def answer(send, body):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
