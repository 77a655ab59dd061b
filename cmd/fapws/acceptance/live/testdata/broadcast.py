import asyncio
import os
import threading
import time

from fapws import WebSocket, broadcast, channel, publish

VERSION = 1
closed = []
gate = threading.Event()


class Name(str):
    """A name of a group. When a WebSocket joins the group, the hash function of this class ends the WebSocket."""

    def __hash__(self):
        self.ws.close()
        while "GET" in repr(self.ws) and threading.current_thread() is not threading.main_thread():
            time.sleep(0.01)
        return 1


def enter(ws):
    query = ws.environ["QUERY_STRING"]
    if query == "refused":
        broadcast(room, "one is refused")
        return False
    for group in filter(None, query.split("&")):
        ws.join(group)
    if query == "slowly":
        time.sleep(1)
    if query == "gate":
        gate.wait()


def hear(ws, message):
    if isinstance(message, bytes):
        broadcast(room, message)
        return
    command, _, rest = message.partition(" ")
    if command == "pid":
        ws.send(f"{os.getpid()} {VERSION}")
    elif command == "join":
        ws.join(rest)
        ws.send("joined")
    elif command == "leave":
        ws.leave(rest)
        ws.send("left")
    elif command == "odd":
        name = Name(rest)
        name.ws = ws
        threading.Thread(target=lambda: (ws.join(name), ws.send("joined"))).start()
    elif command == "group":
        group, _, rest = rest.partition(" ")
        broadcast(room, rest, group)
    elif command == "thread":
        threading.Thread(target=broadcast, args=(room, rest)).start()


def leave(ws, code, reason):
    closed.append(f"{code} {reason}")


def count(environ, start_response):
    return str(broadcast(room, "", environ["QUERY_STRING"] or None))


def left(environ, start_response):
    return "\n".join(closed)


def many(call):
    """Returns a handler that calls call with as many messages of the size as the query says. The handler returns the
    error if a call fails."""
    def handler(environ, start_response):
        times, size = map(int, environ["QUERY_STRING"].split("x"))
        try:
            for _ in range(times):
                began = time.monotonic()
                call(b"x" * size)
        except RuntimeError as error:
            return f"{error}, said {'at once' if time.monotonic() - began < 0.9 else 'after a second'}"
        return "all"
    return handler


def late(environ, start_response):
    open(environ["QUERY_STRING"] + "/entered", "w").close()
    while not os.path.exists(environ["QUERY_STRING"] + "/go"):
        time.sleep(0.01)
    broadcast(room, f"late, from {VERSION}")
    broadcast(other, "late")
    broadcast(room, "late, to x", "x")
    return "done"


def wrong(environ, start_response):
    lines = []
    for args in (
        (room, 1), (room, "\ud800"), (room, "x", 1), (room, "x", ""), (room, "x", "y" * 129), (room, b"x" * 70000),
        (WebSocket(), "x"), (7, "x"), ([room], "x"), ([], "x", "y"),
    ):
        try:
            lines.append(f"nothing wrong: {broadcast(*args)}")
        except (TypeError, ValueError) as error:
            lines.append(f"{type(error).__name__} {error}".replace(repr(room), "room"))
    return "\n".join(lines)


def open_gate(environ, start_response):
    gate.set()
    return "open"


async def task(environ, start_response):
    broadcast(room, "from a task")
    await asyncio.sleep(0)
    return "sent"


def fork(environ, start_response):
    child = os.fork()
    if child == 0:
        try:
            broadcast(room, "from the child")
        except RuntimeError:
            os._exit(7)
        return ""
    return str(os.WEXITSTATUS(os.waitpid(child, 0)[1]))


def repeat(ws, message):
    broadcast(other, message)


room = WebSocket(enter, hear, leave)
other = WebSocket(on_message=repeat)
broadcast(room, "nobody is there yet")

PATHS = [("/room", room), ("/again", room), ("/other", other), ("/count", count), ("/left", left),
         ("/heavy", many(lambda data: broadcast(room, data))), ("/flood", many(lambda data: publish("news", data))),
         ("/news", channel("news")),
         ("/late", late), ("/wrong", wrong), ("/task", task), ("/fork", fork), ("/open", open_gate)]
