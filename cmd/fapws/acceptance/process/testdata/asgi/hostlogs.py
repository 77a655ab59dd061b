async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    query = scope["query_string"].decode()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        raise ValueError("in the WebSocket for " + query)
    if scope["path"] == "/raises":
        raise ValueError("raised for " + query)
    if scope["path"] == "/nothing":
        return
    await send({
        "type": "http.response.start", "status": 200,
        "headers": [(b"content-length", b"5" if scope["path"] == "/short" else b"2")],
    })
    await send({"type": "http.response.body", "body": b"ok"})
    if scope["path"] == "/after":
        raise ValueError("too late for " + query)
