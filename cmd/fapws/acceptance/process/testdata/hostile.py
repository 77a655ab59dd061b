"""An application that an attacker has taken over. It sends messages of every kind to its supervisor over its
connection."""
import json
import os
import socket
import sys

# Files to write and an address to bind. The supervisor must not use these values.
place = sys.argv[1]
with open(place + "/say") as f:
    kinds = f.read().split(",")
forged = json.dumps({
    "Protocol": 12, "GracefulTimeout": 0, "IdleStop": 0, "ErrorLog": place + "/error", "AccessLog": place + "/access",
    "Bind": ["unix:" + place + "/socket"], "BindFrom": {"Level": 6, "Name": "--bind"}, "Served": "forged",
    "Script": json.dumps({"ACCESS_LOG": place + "/script", "Globals": {"ACCESS_LOG": place + "/script"}}),
}).encode()


def channels():
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else range(4096):
        try:
            s = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        if s.family == socket.AF_UNIX and s.type == socket.SOCK_SEQPACKET:
            yield s
        s.close()


def say(*kinds):
    """Sends messages of all kinds over each connection to the supervisor. Returns the number of connections."""
    said = 0
    for channel in channels():
        said += 1
        for kind in kinds:
            head = {"Kind": kind, "ID": 1, "Text": "forged", "Hung": True, "N": 1, "Seq": 1, "Counts": {"news": 1}}
            try:
                channel.send(json.dumps(head).encode() + b"\n" + forged, socket.MSG_DONTWAIT)
            except OSError:
                return said
    return said


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            if event == "lifespan.startup":
                # At this time, the worker is in its sandbox, but has not reported that it has loaded.
                say(*kinds)
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                return
    kind = scope["query_string"].decode()
    text = str(say(*kind.replace("+", " ").split(","))) if kind else "hello"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})
