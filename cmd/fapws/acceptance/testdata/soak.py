"""Every kind of result, for a long run."""
import io
import os

from fapws.base import Environ, Start_response  # noqa: F401
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


PATHS = [
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
