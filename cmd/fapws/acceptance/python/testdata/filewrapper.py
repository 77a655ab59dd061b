"""wsgi.file_wrapper with files, and with objects that only look like files.

Each object records in a file when it was closed, and how it was read.
"""
import gzip
import io
import os
import sys
import tempfile
import urllib.parse

folder = sys.argv[1]
DATA = bytes(i % 251 for i in range(300_000))

with open(os.path.join(folder, "data"), "wb") as f:
    f.write(DATA)
with gzip.open(os.path.join(folder, "data.gz"), "wb") as f:
    f.write(DATA)


def note(name, text):
    with open(os.path.join(folder, name), "a") as f:
        f.write(text + "\n")


class Noted:
    """An object with read() but without fileno()."""

    def __init__(self, name):
        self.name_of_test, self.inner, self.sizes = name, io.BytesIO(DATA), set()

    def read(self, size):
        self.sizes.add(size)
        return self.inner.read(size)

    def close(self):
        note(self.name_of_test, "closed, read by %s" % sorted(self.sizes))


class Opened(io.FileIO):
    """A subclass of a file class. Its read() may return other data than the file, so the server must not use
    sendfile."""

    def read(self, size=-1):
        return super().read(size).replace(b"\x00", b"\xff")

    def close(self):
        note("subclass", "closed")
        super().close()


def real(name, skip=0):
    f = open(os.path.join(folder, "data"), "rb")
    f.seek(skip)
    close = f.close
    f.close = lambda: (note(name, "closed"), close())
    return f


def partly_read(name):
    f = real(name)
    f.readline()  # The buffer has read more of the file than tell() reports.
    return f


def text_file(name):
    f = tempfile.NamedTemporaryFile("w+", encoding="utf-8", newline="")
    f.write("first\nsecond \u20ac\nthird\n")
    f.seek(0)
    f.readline()
    return f


def pipe():
    reading, writing = os.pipe()
    os.write(writing, b"pipe")
    os.close(writing)
    return open(reading, "rb")


class Unreadable:
    def read(self, size):
        raise OSError("cannot read")

    def close(self):
        note("unreadable", "closed")


KINDS = {
    "real": real,
    "skip": lambda n: real(n, 100_000),
    "partly-read": partly_read,
    "at-the-end": lambda n: real(n, len(DATA)),
    "beyond": lambda n: real(n, len(DATA) + 10),
    "bytesio": lambda n: io.BytesIO(DATA),
    "noted": Noted,
    "gzip": lambda n: gzip.open(os.path.join(folder, "data.gz")),
    "subclass": lambda n: Opened(os.path.join(folder, "data")),
    "text": text_file,
    "unreadable": lambda n: Unreadable(),
    "pipe": lambda n: pipe(),
    "raw": lambda n: open(os.path.join(folder, "data"), "rb", buffering=0),
    "update": lambda n: open(os.path.join(folder, "data"), "r+b"),
}


def application(environ, start_response):
    query = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"]))
    headers = [("Content-Type", "text/x-own")]
    if "length" in query:
        headers.append(("Content-Length", query["length"]))
    write = start_response(query.get("status", "200") + " Said", headers)
    if "write" in query:
        write(query["write"].encode())
    opened = KINDS[query["kind"]](query.get("name"))
    size = [int(query["block"])] if "block" in query else []
    wrapped = environ["wsgi.file_wrapper"](opened, *size)
    if "through" in query:  # a generator, as some middlewares return
        return (block for block in wrapped)
    return wrapped


PATHS = [("/quick", lambda e, s: "quick"), ("/", application)]
