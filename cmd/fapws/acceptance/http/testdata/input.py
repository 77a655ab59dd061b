"""Reads wsgi.input in every way, and says what the body was."""
import hashlib


def digest(data):
    return "%d %s" % (len(data), hashlib.sha256(data).hexdigest())


def read(environ, start_response):
    return digest(environ["wsgi.input"].read())


def blocks(environ, start_response):
    stream, out = environ["wsgi.input"], []
    while True:
        block = stream.read(1000)
        if not block:
            assert stream.read(1) == stream.readline() == stream.read() == b""
            return digest(b"".join(out))
        assert len(block) <= 1000
        out.append(block)


def lines(environ, start_response):
    out = list(environ["wsgi.input"])
    assert all(line.endswith(b"\n") for line in out[:-1])
    return digest(b"".join(out))


def readlines(environ, start_response):
    return digest(b"".join(environ["wsgi.input"].readlines()))


def readline(environ, start_response):
    stream, out = environ["wsgi.input"], []
    for line in iter(lambda: stream.readline(7), b""):
        assert len(line) <= 7 and b"\n" not in line[:-1]
        out.append(line)
    return digest(b"".join(out))


def mixed(environ, start_response):
    stream = environ["wsgi.input"]
    return digest(stream.read(3) + stream.readline() + next(iter(stream), b"") + stream.read(0) + stream.read(-1))


def length(environ, start_response):
    return environ.get("CONTENT_LENGTH", "none")


def ignored(environ, start_response):
    return "not read"


PATHS = [
    ("/readlines", readlines), ("/readline", readline), ("/read", read), ("/blocks", blocks), ("/lines", lines),
    ("/mixed", mixed), ("/length", length), ("/ignored", ignored),
]
