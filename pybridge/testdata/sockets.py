import gc
import threading
import time

import fapws
from fapws import HTTPError, WebSocket, broadcast

log = []
everybody = []
gate = threading.Event()


def note(*what):
    log.append(" ".join(map(str, what)))


def opened(ws):
    query = ws.environ["QUERY_STRING"]
    note("open", query)
    if query == "false":
        return False
    if query == "reject":
        return ws.reject(401, "who are you?", {"WWW-Authenticate": "Basic"})
    if query == "http":
        raise HTTPError(404, "no such room")
    if query == "raise":
        raise RuntimeError("on_open fails")
    if query == "hello":
        ws.send("hello")
        ws.data.name = "somebody"
    if query == "close":
        ws.close(4001, "not today")
    if query == "sent+false":
        ws.send("hello")
        return False
    everybody.append(ws)


def heard(ws, message):
    if message == "raise":
        raise RuntimeError("on_message fails")
    if message == "close":
        ws.close(4002, "as you wish")
        ws.close(4003)
        try:
            ws.send("too late")
        except OSError as error:
            note("send:", type(error).__name__, error)
        return
    if message == "sleep":
        time.sleep(0.05)
        note("slept")
        return
    if message == "wait":
        gate.wait(5)
        gate.clear()
    if message == "flood":
        for _ in range(64):
            ws.send(b"x" * 65536)
        note("flooded")
        return
    if message == "elsewhere":
        thread = threading.Thread(target=ws.send, args=("from a thread",))
        thread.start()
        thread.join()
        return
    if message == "types":
        for bad in (None, 1, ["x"], "\ud800"):
            try:
                ws.send(bad)
            except (TypeError, ValueError) as error:
                note(type(error).__name__)
        for code, reason in ((999, ""), (1005, ""), (1006, ""), (1015, ""), (2000, ""), (5000, ""), (1000, "x" * 124)):
            try:
                ws.close(code, reason)
            except ValueError:
                note("ValueError", code)
        try:
            ws.reject()
        except RuntimeError:
            note("RuntimeError")
        return
    if message == "all":
        note("sent to", broadcast(everybody, "to all"))
        return
    if message == "attributes":
        ws.send(
            f"{ws.subprotocol} {ws.closed} {ws.environ['PATH_INFO']} {ws.data}"
            f" {isinstance(ws, fapws.WebSocketConnection)}"
        )
        return
    ws.send(message)


def ended(ws, code, reason):
    note("close", code, reason)
    if ws in everybody:
        everybody.remove(ws)
    assert ws.closed and ws.environ["REQUEST_METHOD"] == "GET"
    if reason == "raise":
        raise RuntimeError("on_close fails")


def logged(environ, start_response):
    """Returns the recorded events, and clears them."""
    text = "; ".join(log)
    log.clear()
    return text


def opens_gate(environ, start_response):
    gate.set()
    return "open"


def alive(environ, start_response):
    """Returns the numbers of WebSockets and of objects of any kind."""
    gc.collect()
    kinds = [type(o).__name__ for o in gc.get_objects()]
    return f"{kinds.count('WebSocketConnection')} {len(everybody)} {len(kinds)}"


class Methods(WebSocket):
    def on_message(self, ws, message):
        ws.send(f"{type(self).__name__} heard {message}")


def in_crowd(ws):
    query = ws.environ["QUERY_STRING"]
    ws.join("x")
    broadcast(crowd, "in " + query, "x")
    return query != "false"


def to_crowd(ws, message):
    if message == "flood":
        for _ in range(40):
            broadcast(crowd, b"x" * 60000)
    elif message == "leave":
        ws.leave("x")
        ws.leave("x")
        ws.send("left")
    else:
        broadcast(crowd, message, "x")


def from_crowd(ws, code, reason):
    note("crowd", code, reason)


crowd = WebSocket(in_crowd, to_crowd, from_crowd)

PATHS = [
    ("/talk", WebSocket(opened, heard, ended, subprotocols=["chat.v2", "chat.v1"], origins=["https://*.example.net"])),
    ("/mute", WebSocket()),
    ("/methods", Methods()),
    ("/log", logged),
    ("/gate", opens_gate),
    ("/alive", alive),
    ("/crowd", crowd),
]
