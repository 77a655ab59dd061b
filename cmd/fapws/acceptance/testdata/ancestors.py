"""A small site with the handlers of fapws3 and Fapws4."""
import os
from hashlib import md5

LARGE = bytes(range(256)) * 16384


class Item:
    def get(self, environ, start_response):
        return "got"

    def post(self, environ, start_response):
        return "posted " + environ["wsgi.input"].read().decode()

    def put(self, environ, start_response):
        return "put"

    def delete(self, environ, start_response):
        return "deleted"

    def head(self, environ, start_response):
        start_response("200 OK", [("X-By", "head")])
        return []

    def options(self, environ, start_response):
        start_response("204 No Content", [("X-By", "options")])
        return []


class Reading:
    def get(self, environ, start_response):
        return "read"


def pieces(environ, start_response):
    """Sends the same bytes as /large, in pieces that an iterator yields."""
    for i in range(0, len(LARGE), 50_000):
        yield LARGE[i : i + 50_000]


def digest(environ, start_response):
    return md5(LARGE).hexdigest()


def process_time(environ, start_response):
    times = os.times()
    return str(times.user + times.system)


PATHS = [
    ("/item", Item),
    ("/reading", Reading()),
    ("/large", lambda e, s: LARGE),
    ("/pieces", pieces),
    ("/digest", digest),
    ("/cpu", process_time),
    ("/", lambda e, s: "hello"),
]
