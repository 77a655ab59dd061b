"""What a client may wait for while the server reloads: echoes, broadcasts and events."""
from fapws import WebSocket, broadcast, channel, publish


def echo(ws, message):
    ws.send(message)


def hear(ws, message):
    broadcast(room, message)


async def asgi(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def say(ws, message):
    publish("news", message)


async def asgi_say(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        publish("news", message["text"])


room = WebSocket(on_message=hear)
PATHS = [
    ("/echo", WebSocket(on_message=echo)),
    ("/room", room),
    ("/say", WebSocket(on_message=say)),
    ("/asgi/say", asgi_say),
    ("/asgi", asgi),
    ("/news", channel("news")),
]
