VERSION = 1


async def application(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": str(VERSION)})
    while (await receive())["type"] != "websocket.disconnect":
        pass
