"""Tests fapws.groups with WebSockets of an ASGI application without a framework."""
import json
import os
import threading

from fapws import groups


def try_each(scope):
    said = []
    for call in [
        lambda: groups.join(None, "x"),
        lambda: groups.join({"type": "http"}, "x"),
        lambda: groups.join({"type": "websocket", "extensions": {}}, "x"),
        lambda: groups.join(scope, 1),
        lambda: groups.join(scope, "x" * 129),
        lambda: [groups.join(scope, f"many{n}") for n in range(1001)],
        lambda: groups.send("", "x"),
        lambda: groups.send("x", "x" * 70000),
        lambda: groups.send("x", object()),
        lambda: groups.count(1),
    ]:
        try:
            call()
            said.append("nothing")
        except Exception as error:
            said.append(f"{type(error).__name__} {error}".partition(" at 0x")[0])
    for n in range(1000):
        groups.leave(scope, f"many{n}")
    return "\n".join(said)


async def websocket(scope, receive, send):
    await receive()
    query = scope["query_string"].decode()
    if query == "early":
        groups.join(scope, "early")
        groups.send("early", "before it is accepted")
        groups.send("early", "and in order")
    if query == "refused":
        groups.join(scope, "lobby")
        return await send({"type": "websocket.close"})
    await send({"type": "websocket.accept"})
    if query != "early":
        groups.join(scope, "lobby")

    async def say(text):
        await send({"type": "websocket.send", "text": text})

    while (message := await receive())["type"] == "websocket.receive":
        if message.get("bytes") is not None:
            groups.send("lobby", message["bytes"])
            continue
        command, _, rest = message["text"].partition(" ")
        if command == "pid":
            await say(str(os.getpid()))
        elif command == "join":
            groups.join(scope, rest)
            await say("joined")
        elif command == "leave":
            groups.leave(scope, rest)
            await say("left")
        elif command == "to":
            group, _, rest = rest.partition(" ")
            groups.send(group, rest)
        elif command == "json":
            groups.send("lobby", json.loads(rest))
        elif command == "thread":
            threading.Thread(target=groups.send, args=("lobby", rest)).start()
        elif command == "errors":
            await say(try_each(scope))
        elif command == "close":
            await send({"type": "websocket.close", "code": 4000})


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        return await websocket(scope, receive, send)
    assert scope["type"] == "http"
    query = scope["query_string"].decode()
    if scope["path"] == "/fill":
        try:
            for _ in range(10):
                groups.send(query, "x" * 50000)
        except RuntimeError:
            pass  # the queue of the server is full, and the test retries
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(groups.count(query)).encode()})
