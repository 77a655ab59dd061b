"""The chat of chat.py with asyncio, as a plain ASGI application.

./build.sh run samples/chat/chat_async.py      then open http://127.0.0.1:8888/ in two windows

This script does not import fapws, so `uvicorn chat_async:application` runs it, too. Therefore, messages reach only
clients of one process. Messages of chat.py reach the clients of all processes.
"""
import asyncio
from pathlib import Path

import rooms

PAGE = (Path(__file__).resolve().parent / "chat.html").read_bytes()
BEHIND = 256  # maximum number of unsent messages; a client with more is disconnected


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await chat(scope, receive, send)
    elif scope["type"] == "http":
        found = scope["path"] == "/"
        await send({"type": "http.response.start", "status": 200 if found else 404,
                    "headers": [(b"content-type", b"text/html; charset=utf-8")]})
        await send({"type": "http.response.body", "body": PAGE if found else b"Not found"})


class Member:
    """A client with its own queue of unsent messages, so that a slow client does not delay other clients."""

    def __init__(self):
        self.messages = asyncio.Queue(BEHIND + rooms.LINES)
        self.behind = asyncio.Event()

    def put(self, message):
        if self.messages.full():
            self.behind.set()
        else:
            self.messages.put_nowait(message)


def tell(message, members):
    for member in members:
        member.put(message)


async def chat(scope, receive, send):
    await receive()  # receives websocket.connect
    who = rooms.parse_query(scope["query_string"].decode("latin-1")) if scope["path"] == "/ws" else None
    member = Member()
    lines = rooms.enter(who[0], member, who[1]) if who else None
    if lines is None:
        return await send({"type": "websocket.close"})  # The WebSocket is not accepted: the client gets 403.
    room = who[0]
    tasks = []
    try:
        await send({"type": "websocket.accept",
                    "subprotocol": rooms.SUBPROTOCOL if rooms.SUBPROTOCOL in scope["subprotocols"] else None})
        for line in lines:
            member.put(line)
        tell(*rooms.present(room))
        # When one of these tasks ends, the others are cancelled.
        tasks = [asyncio.ensure_future(each) for each in (
            listen(room, member, receive, send), deliver(member, send), member.behind.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        rooms.leave(room, member)
        tell(*rooms.present(room))


async def listen(room, member, receive, send):
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        if message.get("text") is None:
            return await send({"type": "websocket.close", "code": 1003, "reason": "only text"})
        tell(*rooms.add_line(room, member, message["text"]))


async def deliver(member, send):
    try:
        while True:
            await send({"type": "websocket.send", "text": await member.messages.get()})
    except OSError:
        pass  # the client has disconnected
