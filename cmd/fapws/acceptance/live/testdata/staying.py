import os
import time

from fapws import WebSocket, broadcast

VERSION = 1
ballast = []


def opened(ws):
    ws.join("all")


def heard(ws, message):
    verb, _, rest = message.partition(" ")
    if verb == "say":
        broadcast(room, rest, "all")
    elif verb == "version":
        ws.send(str(VERSION))
    elif verb == "members":
        ws.send(str(broadcast(room, b"", "all")))
    elif verb == "grow":
        ballast.append(bytearray(b"x" * int(rest)))
        ws.send("grown")
    elif verb == "wait":
        open(rest + "/waits", "w").close()
        while not os.path.exists(rest + "/go"):
            time.sleep(0.001)
        ws.send("waited")
    else:
        ws.send(message)


def closed(ws, code, reason):
    with open(os.path.join(os.path.dirname(__file__), "closed"), "a") as f:
        f.write(f"{ws.environ['QUERY_STRING']}:{code} ")


def resumed(ws):
    ws.send("resumed")


room = WebSocket(opened, heard, closed, on_resume=resumed)
PATHS = [("/room", room)]
