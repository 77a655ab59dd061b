"""Returns iterables of every kind. Each writes to a file when its close() is called. See result() and application() for
?kind=...&length=N&status=CODE&how=...."""
import os
import sys
import urllib.parse

folder = sys.argv[1]


class Plain:
    """An iterator without len(), which is its own iterable."""

    def __init__(self, name, chunks, ends=None):
        self.name, self.chunks, self.ends = name, list(chunks), ends

    def __iter__(self):
        return self

    def __next__(self):
        if self.chunks:
            return self.chunks.pop(0)
        if self.ends:
            raise self.ends
        raise StopIteration

    def close(self):
        with open(os.path.join(folder, self.name), "a") as f:
            f.write("closed\n")


class Sized(Plain):
    def __init__(self, name, chunks, n=None):
        super().__init__(name, chunks)
        self.n = len(self.chunks) if n is None else n

    def __len__(self):
        if self.n < 0:
            raise ZeroDivisionError("no length")
        return self.n


class Tuple(tuple):
    def close(self):
        Plain.close(self)


class Unclosable(Plain):
    def close(self):
        super().close()
        raise ValueError("close failed")


class Unready(Plain):
    def __iter__(self):
        raise ValueError("not yet")


class Separate(Plain):
    """An iterable with close(). Its iterator is another object."""

    def __iter__(self):
        return iter(self.chunks)


def generator(name, chunks):
    try:
        yield from chunks
    finally:
        with open(os.path.join(folder, name), "a") as f:
            f.write("closed\n")


def endless(name):
    try:
        while True:
            yield b"x" * 1000
    finally:
        with open(os.path.join(folder, name), "a") as f:
            f.write("closed\n")


def lines(name, chunks):
    result = Tuple(chunks)
    result.name = name
    return result


def late(name, start_response):
    try:
        start_response("200 OK", [("X", 1)])
        yield b"never"
    finally:
        with open(os.path.join(folder, name), "a") as f:
            f.write("closed\n")


CHUNKS = [b"one,", b"", b"two"]


def result(kind, name, start_response):
    return {
        "plain": lambda: Plain(name, CHUNKS),
        "separate": lambda: Separate(name, CHUNKS),
        "generator": lambda: generator(name, CHUNKS),
        "tuple": lambda: lines(name, CHUNKS),
        "sized": lambda: Sized(name, CHUNKS),
        "single": lambda: Sized(name, [b"one,two"]),
        "single-empty": lambda: Sized(name, [b""]),
        "none": lambda: Sized(name, []),
        "no-chunk": lambda: generator(name, []),
        "empty-chunks": lambda: Plain(name, [b"", b"", b""]),
        "lying": lambda: Sized(name, CHUNKS, 1),
        "no-len": lambda: Sized(name, CHUNKS, -1),
        "unclosable": lambda: Unclosable(name, CHUNKS),
        "endless": lambda: endless(name),
        "raises": lambda: Plain(name, CHUNKS, ValueError("in iteration")),
        "raises-first": lambda: Plain(name, [], ValueError("in iteration")),
        "stops": lambda: Plain(name, CHUNKS, SystemExit(3)),
        "number": lambda: Plain(name, [b"one,", 7]),
        "number-first": lambda: Plain(name, [7]),
        "late": lambda: late(name, start_response),
        "unready": lambda: Unready(name, CHUNKS),
        "not-iterable": lambda: lines(name, [7]),
    }[kind]()


def application(environ, start_response):
    query = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"]))
    if query["kind"] != "late":
        headers = [("Content-Type", "text/plain")]
        if "length" in query:
            headers.append(("Content-Length", query["length"]))
        write = start_response(query.get("status", "200") + " Said", headers)
        if "write" in query:
            write(query["write"].encode())
    return result(query["kind"], query["name"], start_response)


PATHS = [("/quick", lambda e, s: "quick"), ("/", application)]
