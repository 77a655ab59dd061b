from fapws import WebSocket


async def echo(scope, receive, send):
    if scope['type'] != 'websocket':
        raise NotImplementedError
    await receive()
    await send({'type': 'websocket.accept'})
    while True:
        event = await receive()
        if event['type'] == 'websocket.disconnect':
            return
        await send({'type': 'websocket.send', 'bytes': event.get('bytes'), 'text': event.get('text')})


PATHS = [
    ('/callbacks', WebSocket(on_message=lambda ws, message: ws.send(message))),
    ('/asgi', echo),
]
