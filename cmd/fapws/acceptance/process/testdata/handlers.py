import os
import signal
import time

import fapws


def publish(environ, start_response):
    fapws.publish("news", "from " + environ["REQUEST_METHOD"])
    return str(len(environ["wsgi.input"].read()))


asked = time.monotonic()


@fapws.timer(0.02)
def tick():
    if fapws.subscribers("ticks"):
        fapws.publish("ticks", f"{time.monotonic() - asked}s")


def who(environ, start_response):
    global asked
    asked = time.monotonic()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {environ['REMOTE_ADDR']} {environ['HTTP_X_FIELD']} {fapws.subscribers('news')}".encode()]


def pieces(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for n in range(64):
        yield b"%d" % (n % 10) * (64 << 10)


def dies(environ, start_response):
    if environ["QUERY_STRING"]:
        start_response("200 OK", [("Content-Length", "100")])
        yield b"begin"
        time.sleep(3600)
    os.kill(os.getpid(), signal.SIGKILL)
    yield b""


async def echo(scope, receive, send):
    """An ASGI application with a WebSocket. For other requests, it sends the body back while it arrives."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"{message['text']} {os.getpid()}"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


def stored(environ, start_response):
    return environ["fapws.upload"].file.sha256


room = fapws.WebSocket(on_message=lambda ws, message: fapws.broadcast(room, message))


@fapws.on_join("hall")
def joined(name, client):
    fapws.publish("hall", "somebody has joined")


@fapws.on_leave("hall")
def left(name, client):
    fapws.publish("news", "somebody has left")


PATHS = [
    ("/news", lambda environ, start_response: fapws.channel("news")),
    ("/ticks", lambda environ, start_response: fapws.channel("ticks")),
    ("/hall", lambda environ, start_response: fapws.channel("hall")),
    ("/publish", publish),
    ("/pieces", pieces),
    ("/dies", dies),
    ("/echo", echo),
    ("/room", room),
    ("/upload", fapws.upload("/dev/null", stored)),
    ("/", who),
]
