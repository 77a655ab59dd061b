"""A chat with WebSockets, in plain synchronous code.

./build.sh run samples/chat/chat.py      then open http://127.0.0.1:8888/ in two windows

A client costs a Python thread only while one of these functions runs for it. What is said
stays in this process: a chat with several workers needs a place that they share.
"""
from pathlib import Path

import rooms
from fapws import WebSocket, broadcast

PAGE = (Path(__file__).resolve().parent / "chat.html").read_bytes()


def tell(message, members):
    broadcast(members, message)  # waits for nobody; who is much too slow is let go


def on_open(ws):
    """Comes before the WebSocket is accepted: what is sent now follows right behind."""
    who = rooms.asked(ws.environ["QUERY_STRING"])
    if who is None:
        return ws.reject(400)
    ws.data.room, name = who
    lines = rooms.enter(ws.data.room, ws, name)
    if lines is None:
        return ws.reject(503)
    for line in lines:
        tell(line, [ws])
    tell(*rooms.present(ws.data.room))


def on_message(ws, message):
    if isinstance(message, bytes):
        return ws.close(1003, "only text")
    tell(*rooms.said(ws.data.room, ws, message))


def on_close(ws, code, reason):
    rooms.leave(ws.data.room, ws)
    tell(*rooms.present(ws.data.room))


def index(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return PAGE


PATHS = [
    ("/ws", WebSocket(on_open, on_message, on_close, subprotocols=[rooms.SUBPROTOCOL])),
    ("/", index),
]
