"""Applications with the middleware wsgiref.validate of the standard library around them. Warnings of wsgiref.validate
are errors here, like its assertions."""
import io
import os
import sys
import warnings
from wsgiref.validate import WSGIWarning, validator

warnings.simplefilter("error", WSGIWarning)
TEXT = [("Content-Type", "text/plain")]


def body_of(environ):
    """Reads the body of the request. Each method of wsgi.input reads a part."""
    stream = environ["wsgi.input"]
    parts = [stream.read(1), stream.readline(), stream.readline(2)]
    parts += stream.readlines(1)
    parts += iter(stream)
    parts.append(stream.read(10))
    return b"".join(parts)


def whole(environ, start_response):
    environ["wsgi.errors"].write("")
    environ["wsgi.errors"].writelines([])
    environ["wsgi.errors"].flush()
    start_response("200 OK", TEXT)
    return [b"whole ", body_of(environ)]


def single(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "6")])
    return (b"single",)


def nothing(environ, start_response):
    start_response("200 OK", TEXT)
    return []


def no_bytes(environ, start_response):
    start_response("200 OK", TEXT)
    return [b""]


def status(text):
    def app(environ, start_response):
        start_response(text, [("ETag", '"x"')])
        return []

    return app


def generator(environ, start_response):
    start_response("200 OK", TEXT)
    for i in range(3):
        yield b"part %d " % i


def late(environ, start_response):
    yield from generator(environ, start_response)


class Closing(list):
    def close(self):
        self.append(b"closed")


def closing(environ, start_response):
    start_response("200 OK", TEXT)
    return Closing([b"clo", b"sing"])


def written(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"written ")
    write(b"")
    return [b"whole"]


def replaced(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        raise ValueError("replaced")
    except ValueError:
        start_response("503 Replaced", TEXT, sys.exc_info())
    return [b"replaced"]


def too_late(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"begun"
    try:
        raise ValueError("too late")
    except ValueError:
        start_response("503 Too Late", TEXT, sys.exc_info())


def file(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](
        open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "digits.txt"), "rb"), 4
    )


def memory(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"in memory"))


def endless(environ, start_response):
    start_response("200 OK", TEXT)
    while True:
        yield b"x" * 1000


def error(environ, start_response):
    start_response("404 Not Found", TEXT)
    return [b"no such thing"]


PATHS = [
    ("/" + name, validator(app))
    for name, app in {
        "single": single, "nothing": nothing, "no-bytes": no_bytes, "204": status("204 No Content"),
        "304": status("304 Not Modified"), "generator": generator, "late": late, "closing": closing, "written": written,
        "replaced": replaced, "too-late": too_late, "file": file, "memory": memory, "endless": endless, "error": error,
        "whole": whole,
    }.items()
] + [("/", validator(whole))]
