import json

from fapws import WebSocket, channel, publish


def length(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return str(len(body)) + " " + str(sum(body) % 65536)


def large(environ, start_response):
    start_response("200 OK", [])
    return [bytes([i % 251]) * 100_000 for i in range(50)]


def echo(ws, message):
    ws.send(message)


def say(environ, start_response):
    publish("news", environ["QUERY_STRING"])
    start_response("200 OK", [])
    return "said"


async def tls(scope, receive, send):
    text = json.dumps(scope["extensions"].get("tls")).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


def shout(environ, start_response):
    """Takes over the socket of the connection, like a WebSocket library."""
    sock = environ["werkzeug.socket"]
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    lines = sock.makefile("rb")
    for line in lines:
        if line == b"quit\n":
            break
        sock.sendall(line.upper())
    start_response("200 OK", [])
    return "this goes nowhere"


PATHS = [
    ("/length", length), ("/large", large), ("/echo", WebSocket(on_message=echo)), ("/say", say),
    ("/news", channel("news")), ("/tls", tls), ("/shout", shout),
]
