import os
import sys

from fapws.contrib.views import Staticfile

folder = sys.argv[1]


def body(environ, start_response):
    return "%d bytes" % len(environ["wsgi.input"].read())


def memory(environ, start_response):
    return b"x" * (1 << 60)


def memory_later(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    yield b"x" * (1 << 60)


def too_large_file(environ, start_response):
    with open(os.path.join(folder, "large"), "wb") as f:
        f.write(bytes(1_000_000))
    return "written"


PATHS = [
    ("/static", Staticfile(os.path.join(folder, "site"))), ("/body", body), ("/memory-later", memory_later),
    ("/memory", memory), ("/too-large-file", too_large_file), ("/", lambda e, s: "quick"),
]
