"""One PATHS table with functions, classes, objects, applications and files."""
import os

from fapws import HTTPError
from fapws.contrib.views import Staticfile


class Item:
    made = 0

    def __init__(self):
        Item.made += 1

    def get(self, environ, start_response):
        start_response(
            "200 OK", [("Content-Type", "text/plain"), ("X-Path", environ["SCRIPT_NAME"] + "|" + environ["PATH_INFO"])]
        )
        return ["item"]

    def delete(self, environ, start_response):
        start_response("204 No Content", [])
        return []

    def post(self, environ, start_response):
        for line in environ["wsgi.input"]:
            yield b"<" + line.strip() + b">"

    def put(self, environ, start_response):
        raise HTTPError(409, "not now")


class Own:
    def head(self, environ, start_response):
        start_response("200 OK", [("X-By", "head")])
        return []

    def options(self, environ, start_response):
        start_response("204 No Content", [("X-By", "options")])
        return []


class Counter:
    def __init__(self):
        self.n = 0

    def get(self, environ, start_response):
        self.n += 1
        return str(self.n)


class Wsgi:
    """A WSGI application whose instances are iterables of the response, as in PEP 3333."""

    def __init__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        self.text = environ["SCRIPT_NAME"] + "|" + environ["PATH_INFO"]

    def __iter__(self):
        yield self.text.encode()


def made(environ, start_response):
    return str(Item.made)


PATHS = [
    ("/made", made),
    ("/item", Item),
    ("/own", Own()),
    ("/count", Counter()),
    ("/wsgi", Wsgi),
    ("/lambda", lambda environ, start_response: "lambda"),
    ("/files", Staticfile(os.path.dirname(__file__), index=None)),
    ("/error", HTTPError(503, "closed")),
]
