"""WebSockets that write a line to a file in this directory when they close."""
import os

from fapws import WebSocket


def hear(ws, message):
    ws.send("x" * (8 << 20) if message == "much" else message)


def leave(ws, code, reason):
    with open(os.path.join(os.path.dirname(__file__), "closed"), "a") as f:
        f.write(ws.environ["QUERY_STRING"] + "\n")


PATHS = [("/room", WebSocket(None, hear, leave))]
