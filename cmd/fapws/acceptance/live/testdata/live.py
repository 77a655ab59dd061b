from fapws import WebSocket, channel, publish


def say(ws, message):
    publish("news", message)


async def asgi_say(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        publish("news", message["text"])


PATHS = [
    ("/say", WebSocket(on_message=say)),
    ("/asgi/say", asgi_say),
    ("/news", channel("news")),
]
