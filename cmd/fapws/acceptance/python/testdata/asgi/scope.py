import json


def plain(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


async def answer(send, value):
    text = json.dumps(plain(value)).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(text)).encode())]}
    )
    await send({"type": "http.response.body", "body": text})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                scope["state"]["seen"] = 0
                scope["state"]["shared"] = []
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    scope["types"] = {key: type(value).__name__ for key, value in scope.items()}
    scope["types"]["header"] = sorted(
        {type(item).__name__ for pair in scope["headers"] for item in pair}
        | {type(pair).__name__ for pair in scope["headers"]}
    )
    scope["state"]["seen"] += 1
    scope["state"]["shared"].append(scope["path"])
    scope["extensions"]["mine"] = {}
    scope["headers"].append((b"x-mine", b"1"))
    scope["version"] = scope["asgi"].pop("version")
    await answer(send, scope)
