"""WebSockets whose clients send messages and close at once."""
import asyncio

notes = {}
# A client sets this event, over another connection, when it has reset its WebSocket.
gone = asyncio.Event()


def note(path, text):
    notes.setdefault(path, []).append(text)


async def tries(path, send, text):
    """Sends a message, and records whether send() has raised an exception."""
    try:
        await send({"type": "websocket.send", "text": text})
        note(path, "sent " + text)
    except OSError:
        note(path, "OSError")
        raise


async def answers(path, receive, send):
    """Answers each message after a delay. The message contains the delay in seconds."""
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            note(path, f"disconnect {event['code']} {event['reason']}")
            await tries(path, send, "too late")
        await asyncio.sleep(float(event["text"]))
        await tries(path, send, event["text"])


async def listens(path, receive, send):
    """Sends a message after a second task has received the disconnect event."""
    async def reader():
        while (await receive())["type"] != "websocket.disconnect":
            pass
        note(path, "disconnect")

    reading = asyncio.create_task(reader())
    await reading
    await tries(path, send, "too late")


async def pushes(path, receive, send):
    while True:
        try:
            await send({"type": "websocket.send", "text": "tick"})
        except OSError:
            note(path, "OSError")
            raise
        await asyncio.sleep(0.01)


async def floods(path, receive, send):
    while True:
        try:
            await send({"type": "websocket.send", "bytes": bytes(65536)})
        except OSError:
            note(path, "OSError")
            raise


async def counts(path, receive, send):
    """Continues to send after the client has disconnected, and records the number of messages."""
    await gone.wait()
    await asyncio.sleep(0.2)
    sent = 0
    try:
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            sent += 1
    except OSError:
        note(path, "few" if sent < 1000 else f"sent {sent}")
        raise


async def stays(path, receive, send):
    note(path, (await receive())["type"])
    await asyncio.sleep(2)


async def app(scope, receive, send):
    path = scope["path"]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await globals()[path.split("/")[1]](path, receive, send)
    elif scope["type"] == "http":
        if path == "/gone":
            gone.set()
        text = " ".join(notes.get(path[6:], []))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})
