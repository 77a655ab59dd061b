"""The applications of the benchmarks: PATHS for fapws, `application` for WSGI servers.

PATHS and `application` run the same handlers. Each handler does only what its name says.
"""

import itertools
import json
import os
import time

FILE = os.environ.get("BENCH_FILE", "")
MEBIBYTE = b"x" * (1 << 20)
KIBIBYTES = b"x" * (100 << 10)
CHUNK = b"c" * 128
PAGE = b"x" * 4096
PART = b"p" * (1 << 16)
NUMBERS = itertools.count(100000)
DOCUMENT = json.dumps({"rows": [{"id": i, "name": f"name {i * 7919 % 10007}", "value": i * 31337 % 65521}
                                for i in range(2000)]})[1:].encode()

TEXT = [("Content-Type", "text/plain"), ("Content-Length", "13")]
BINARY = [("Content-Type", "application/octet-stream")]


def hello(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"Hello world!!"]


def json_answer(environ, start_response):
    """Responds with JSON, and sets five header fields in addition to Content-Length."""
    body = json.dumps({"message": "Hello, World!"}).encode()
    start_response("200 OK", [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Frame-Options", "DENY"),
        ("X-Request-Id", "0123456789abcdef"),
        ("Content-Length", str(len(body))),
    ])
    return [body]


def echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", BINARY + [("Content-Length", str(len(body)))])
    return [body]


def mebibyte(environ, start_response):
    start_response("200 OK", BINARY + [("Content-Length", str(len(MEBIBYTE)))])
    return [MEBIBYTE]


def generator(environ, start_response):
    """Sends 100 chunks of 128 bytes without a Content-Length."""
    start_response("200 OK", BINARY)
    for _ in range(100):
        yield CHUNK


def count(environ, start_response):
    """Reads the body 64 KiB at a time, and responds with its size."""
    size = 0
    while piece := environ["wsgi.input"].read(1 << 16):
        size += len(piece)
    start_response("200 OK", TEXT[:1])
    return [b"%d" % size]


def parts(environ, start_response):
    """Sends 160 parts of 64 KiB without a Content-Length."""
    start_response("200 OK", BINARY)
    for _ in range(160):
        yield PART


def kibibytes(environ, start_response):
    start_response("200 OK", BINARY + [("Content-Length", str(100 << 10))])
    return [KIBIBYTES]


def large(environ, start_response):
    """Sends 200 MiB in parts of 64 KiB."""
    start_response("200 OK", BINARY + [("Content-Length", str(200 << 20))])
    for _ in range(3200):
        yield PART


def document(environ, start_response):
    """Responds with 100 KB of JSON, different each time, for compression."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"number": %d, %s' % (next(NUMBERS), DOCUMENT)]


def file(environ, start_response):
    """Sends the file through WSGI, for servers that cannot serve static files themselves."""
    start_response("200 OK", BINARY + [("Content-Length", str(1 << 20))])
    return environ["wsgi.file_wrapper"](open(FILE, "rb"))


def slow(environ, start_response):
    time.sleep(0.2)
    start_response("200 OK", TEXT)
    return [b"Hello world!!"]


def page(environ, start_response):
    """Returns a page of 4 KiB. fapws and nginx keep the page in their caches."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("ETag", '"0123456789abcdef"')])
    return [PAGE]


HANDLERS = {
    "/hello": hello,
    "/json": json_answer,
    "/echo": echo,
    "/mebibyte": mebibyte,
    "/generator": generator,
    "/count": count,
    "/parts": parts,
    "/100k": kibibytes,
    "/large": large,
    "/document": document,
    "/file": file,
    "/slow": slow,
}


def application(environ, start_response):
    return HANDLERS[environ["PATH_INFO"]](environ, start_response)


PATHS = list(HANDLERS.items())

if "BENCH_STATIC" in os.environ:
    from fapws.cache import cached
    from fapws.contrib.views import Staticfile

    PATHS.append(("/cached", cached(page, ttl=3600)))
    PATHS.append(("/static/", Staticfile(os.environ["BENCH_STATIC"])))
