import os
import threading
import time

from fapws import WebSocket, broadcast

VERSION = 1
known = []


def opened(ws):
    ws.data.count = 0
    ws.join("all")
    ws.join(ws.environ["QUERY_STRING"])


def heard(ws, message):
    ws.data.count += 1
    verb, _, rest = message.partition(" ")
    if verb == "say":
        broadcast(room if ws.environ["SCRIPT_NAME"] == "/room" else told, rest, "all")
    elif verb == "count":
        ws.send(f"{ws.data.count} by {VERSION} in {os.getpid()} {ws.environ['QUERY_STRING']} {ws.subprotocol}")
    elif verb == "know":
        known.append(ws)
        ws.send("known")
    elif verb == "keep":
        ws.data.thing = threading.Lock()
        ws.send("kept")
    elif verb == "wait":
        open(rest + "/waits", "w").close()
        while not os.path.exists(rest + "/go"):
            time.sleep(0.001)
        ws.send("waited")
    elif verb == "leave":
        ws.leave("all")
        ws.send("left")
    else:
        ws.send(message)


def closed(ws, code, reason):
    broadcast(
        room if ws.environ["SCRIPT_NAME"] == "/room" else told, f"{ws.data.count} closed with {code} by {VERSION}",
        "all",
    )


def resumed(ws):
    ws.data.count += 100
    ws.send(f"resumed by {VERSION}")


room = WebSocket(opened, heard, closed, subprotocols=["b", "a"])
told = WebSocket(opened, heard, closed, on_resume=resumed, subprotocols=["b", "a"])
PATHS = [("/room", room), ("/told", told)]
