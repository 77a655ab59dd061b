"""Calls write() before returning other results, in an endless loop, and in ways that PEP 3333 forbids."""
import os
import sys

folder = sys.argv[1]
SIZE = 65536
TEXT = ("Content-Type", "text/plain")


def note(name, text="yes"):
    with open(os.path.join(folder, name), "a") as f:
        f.write(text + "\n")


def only(environ, start_response):
    write = start_response("200 OK", [TEXT])
    for word in (b"", b"one,", "tw\u00f6,", bytearray(b"three,"), memoryview(b"four")):
        write(word)
    return []


def many(environ, start_response):
    write = start_response("200 OK", [TEXT])
    for _ in range(int(environ["QUERY_STRING"])):
        write(b"w" * SIZE)
    return [b"end"]


def endless(environ, start_response):
    write = start_response("200 OK", [TEXT])
    try:
        while True:
            write(b"w" * SIZE)
    except OSError as error:
        note("ended", type(error).__name__)
        if environ["QUERY_STRING"] == "raise":
            raise
        return [b"nobody gets this"]


def early(environ, start_response):
    start_response.write(b"too early")
    return []


def number(environ, start_response):
    start_response("200 OK", [TEXT])(7)
    return []


def none(environ, start_response):
    start_response("200 OK", [TEXT])(b"written")


def json(environ, start_response):
    start_response("200 OK", [TEXT])(b"before ")
    return {"a": 1}


def file(environ, start_response):
    write = start_response("200 OK", [TEXT])
    write(b"before ")
    return open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "digits.txt"), "rb")


def generator(environ, start_response):
    write = start_response("200 OK", [TEXT])
    write(b"before ")

    def rest():
        yield b"one,"
        # PEP 3333 forbids calling write() while the iterable is running.
        # The server accepts the call and keeps the order of the data.
        write(b"between,")
        yield b"two"

    return rest()


PATHS = [
    ("/only", only), ("/many", many), ("/endless", endless), ("/early", early), ("/number", number), ("/none", none),
    ("/json", json), ("/file", file), ("/generator", generator), ("/", lambda e, s: "quick"),
]
