import base64
import hashlib
import os

from fapws import WebSocket, channel, groups
from fapws.contrib.views import Staticfile


async def echo(scope, receive, send):
    if scope["type"] != "websocket":
        raise NotImplementedError
    await receive()
    query = scope["query_string"]
    if query == b"never":
        await receive()
        return
    if query == b"scope":
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0], "headers": [(b"x-a", b"b")]})
        await send({"type": "websocket.send", "text": f"{scope['http_version']} {scope['scheme']} {scope['path']}"})
        await send({"type": "websocket.close", "code": 3000, "reason": "all said"})
        return
    if query == b"deny":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    if query == b"pour":
        for _ in range(1024):
            await send({"type": "websocket.send", "bytes": bytes(65536)})
        return
    if query == b"group":
        groups.join(scope, "all")
        await send({"type": "websocket.send", "text": "joined"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            print("left", event["code"], flush=True)
            return
        if query == b"group":
            groups.send("all", event["text"])
        else:
            await send({"type": "websocket.send", "bytes": event.get("bytes"), "text": event.get("text")})


def own(environ, start_response):
    """Implements the WebSocket protocol without the server, and echoes one short message."""
    sock = environ["werkzeug.socket"]
    if environ["QUERY_STRING"] == "refuse":
        start_response("403 Forbidden", [])
        return ["not you"]
    if environ["QUERY_STRING"] == "garbage":
        sock.sendall(b"hello\r\n\r\n")
        start_response("200 OK", [])
        return []
    key = environ["HTTP_SEC_WEBSOCKET_KEY"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnec")
    sock.sendall(b"tion: Upgrade\r\nX-Own: yes\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n\x81\x02hi")
    size = sock.recv(2)[1] & 127
    data = sock.recv(4 + size)
    sock.sendall(bytes([0x81, size]) + bytes(c ^ data[i % 4] for i, c in enumerate(data[4:])))
    sock.recv(100)
    sock.sendall(b"\x88\x02\x03\xe8")
    start_response("200 OK", [])
    return []


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["page"]


def pieces(environ, start_response):
    start_response("200 OK", [])
    for _ in range(100):
        yield b"x" * 10000


PATHS = [
    ("/callbacks", WebSocket(on_message=lambda ws, message: ws.send(message))),
    ("/asgi", echo),
    ("/own", own),
    ("/page", page),
    ("/pieces", pieces),
    ("/news", channel("news")),
    ("/files", Staticfile(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))),
]
