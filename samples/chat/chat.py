"""A chat with WebSockets, in plain synchronous code.

./build.sh run samples/chat/chat.py [CHAT.db]      then open http://127.0.0.1:8888/ in two windows

A client costs a Python thread only while one of these functions runs for it. With
--workers 2 before the script, all clients are still in one chat: broadcast reaches the
clients of all workers, and their common state is in SQLite (shared.py).
"""
from pathlib import Path

import rooms
import shared
from fapws import WebSocket, broadcast, timer

PAGE = (Path(__file__).resolve().parent / "chat.html").read_bytes()


def tell_people(room):
    broadcast(chat, shared.present(room), room)  # broadcast does not wait; a client that is too slow is disconnected


def on_open(ws):
    """Runs before the WebSocket is accepted. Messages that this function sends arrive immediately after the
    acceptance."""
    who = rooms.parse_query(ws.environ["QUERY_STRING"])
    if who is None:
        return ws.reject(400)
    ws.data.room, ws.data.name = who
    ws.data.member = None
    ws.join(ws.data.room)  # Join before reading the stored lines, so that the client misses no message.
    found = shared.enter(ws.data.room, ws.data.name)
    if found is None:
        return ws.reject(503)
    ws.data.member, lines = found
    for line in lines:
        ws.send(line)
    tell_people(ws.data.room)


def on_message(ws, message):
    if isinstance(message, bytes):
        return ws.close(1003, "only text")
    line = shared.add_line(ws.data.member, message)
    if line:
        broadcast(chat, line, ws.data.room)


def on_close(ws, code, reason):
    shared.leave(ws.data.member)
    tell_people(ws.data.room)


def index(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return PAGE


@timer(5)
def beat():
    """Runs every five seconds. If a worker was killed, the other workers remove its members."""
    for room in shared.beat():
        tell_people(room)


chat = WebSocket(on_open, on_message, on_close, subprotocols=[rooms.SUBPROTOCOL])
PATHS = [("/ws", chat), ("/", index)]
