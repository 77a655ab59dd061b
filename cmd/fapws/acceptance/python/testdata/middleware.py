"""PATHS with single and nested WSGI middlewares, and a profile page that shows how much time the middlewares take."""
import threading
import time
from wsgiref.validate import validator

from fapws.contrib.profile import Profile


class Header:
    """A middleware that puts its name before the names of inner middlewares."""

    def __init__(self, app, name):
        self.app, self.name = app, name

    def __call__(self, environ, start_response):
        def start(status, headers, exc_info=None):
            seen = dict(headers).get("X-Through", "")
            rest = [h for h in headers if h[0] != "X-Through"]
            return start_response(status, rest + [("X-Through", f"{self.name} {seen}".strip())], exc_info)

        environ["through." + self.name] = "yes"
        return self.app(environ, start)


class Shout:
    """A middleware that changes the body while it is sent, and closes the inner iterable."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        inner = self.app(environ, start_response)
        try:
            for piece in inner:
                yield piece.upper()
        finally:
            if hasattr(inner, "close"):
                inner.close()


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello through " + b" ".join(k.encode() for k in sorted(environ) if k.startswith("through."))]


stop = threading.Event()


def spin_here(environ, start_response):
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        sum(range(1000))
    return "spun"


PATHS = [
    ("/chain", Header(Header(Shout(hello), "inner"), "outer")),
    ("/checked", validator(Header(hello, "one"))),
    ("/profile", Profile()),
    ("/closed", Profile(allow=["192.0.2.1"])),
    ("/spin", spin_here),
]
