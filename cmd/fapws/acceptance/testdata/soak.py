import io
import os

from fapws import WebSocket
from fapws.base import Environ, Start_response  # noqa: F401
from fapws.cache import cached
from fapws.contrib.views import Staticfile

HERE = os.path.dirname(os.path.abspath(__file__))


def text(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Query", environ["QUERY_STRING"])])
    return "text " + environ["QUERY_STRING"]


def echo(environ, start_response):
    return environ["wsgi.input"].read()


def form(environ, start_response):
    start_response.set_cookie("seen", "1")
    return environ["fapws.params"]


def stream(environ, start_response):
    for i in range(20):
        yield b"%04d" % i * 250


def endless(environ, start_response):
    while True:
        yield b"x" * 10_000


def file(environ, start_response):
    return open(os.path.join(HERE, "page.html"), "rb")


def raises(environ, start_response):
    raise ValueError("as planned")


async def pieces(scope, receive, send):
    """Sends the body of the request back while it arrives."""
    await send({"type": "http.response.start", "status": 200})
    while (event := await receive())["type"] == "http.request":
        await send({"type": "http.response.body", "body": event["body"], "more_body": event["more_body"]})
        if not event["more_body"]:
            break


async def refuses(scope, receive, send):
    """Rejects a request after reading one piece of its body."""
    await receive()
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"enough"})


def page(environ, start_response):
    """The cache stores this page once for each language and query."""
    start_response("200 OK", [("Vary", "Accept-Language")])
    return f"{environ['QUERY_STRING']} {environ['HTTP_ACCEPT_LANGUAGE']} ".encode() * 300


def hear(ws, message):
    ws.send(message)


PATHS = [
    ("/pieces", pieces),
    ("/refuses", refuses),
    ("/page", cached(page, ttl=1, stale=1)),
    ("/socket", WebSocket(on_message=hear)),
    ("/text", text),
    ("/echo", echo),
    ("/form", form),
    ("/stream", stream),
    ("/endless", endless),
    ("/file", file),
    ("/bytes", lambda e, s: b"b" * 100_000),
    ("/memory", lambda e, s: io.BytesIO(b"m" * 100_000)),
    ("/none", raises),
    ("/static", Staticfile(HERE)),
]
