"""WSGI handlers that implement WebSockets by themselves, like simple-websocket and Flask-Sock."""
import base64
import hashlib
import struct


def accept(environ):
    key = environ["HTTP_SEC_WEBSOCKET_KEY"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(key.encode()).digest())


def exactly(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def frame(sock):
    first, n = exactly(sock, 2)
    n &= 127
    if n >= 126:
        n = int.from_bytes(exactly(sock, 2 if n == 126 else 8), "big")
    mask = exactly(sock, 4)
    return first & 15, bytes(c ^ mask[i % 4] for i, c in enumerate(exactly(sock, n)))


def echo(environ, start_response):
    sock = environ.get("werkzeug.socket")
    if sock is None:
        start_response("501 Not Implemented", [])
        return "no socket here"
    if environ["QUERY_STRING"] == "refuse":
        start_response("403 Forbidden", [])
        return [repr(sock)]
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + accept(environ) + b"\r\n\r\n")
    try:
        while True:
            op, data = frame(sock)
            if op == 8:
                sock.sendall(bytes([0x88, len(data)]) + data)
                break
            if len(data) < 126:
                size = bytes([len(data)])
            else:
                size = struct.pack("!BH", 126, len(data)) if len(data) < 65536 else struct.pack("!BQ", 127, len(data))
            sock.sendall(bytes([0x80 | op]) + size + data)
    except (EOFError, ConnectionError):
        print("gone", flush=True)
    start_response("200 OK", [])
    return ["this goes nowhere"]


def raises(environ, start_response):
    try:
        echo(environ, start_response)
    finally:
        raise {"connection": ConnectionResetError, "timeout": TimeoutError, "stop": StopIteration,
               "file": FileNotFoundError, "value": ValueError}[environ["QUERY_STRING"]]("at the end")


def plain(environ, start_response):
    return str("werkzeug.socket" in environ)


PATHS = [("/echo", echo), ("/raises", raises), ("/plain", plain)]
