"""What applications do to other servers in the tests of these: see peers_test.go."""
import itertools
import sys
import urllib.request

TEXT = ("Content-Type", "text/plain")
reused = [TEXT, ("X-Count", "0")]


class Name(str):
    """As frameworks have them, for strings that are safe to show."""


class Stages:
    """An iterable that fails where the query says."""

    def __init__(self, stage):
        self.stage, self.left = stage, [b"three", b"two", b"one"]

    def __iter__(self):
        if self.stage == "iter":
            raise ValueError("stage iter")
        return self

    def __next__(self):
        done = 3 - len(self.left)
        if self.stage == "next%d" % done:
            raise ValueError("stage " + self.stage)
        if not self.left:
            raise StopIteration
        return self.left.pop()

    def close(self):
        print("closed after", self.stage, file=sys.stderr, flush=True)
        if self.stage == "close":
            raise ValueError("stage close")


def stages(environ, start_response):
    stage = environ["QUERY_STRING"]
    if stage == "before":
        raise ValueError("stage before")
    write = start_response("200 OK", [TEXT, ("Content-Length", "11")])
    if stage == "started":
        raise ValueError("stage started")
    if stage == "exit":
        sys.exit("stage exit")
    if stage == "written":
        write(b"one")
        raise ValueError("stage written")
    return Stages(stage)


def replaced(environ, start_response):
    """The answer that an error page replaces, with its fields; the list is used twice."""
    fields = [TEXT, ("X-First", "1")]
    start_response("200 OK", fields)
    try:
        undefined
    except NameError:
        fields[1] = ("X-Second", "2")
        start_response("503 Later", fields, sys.exc_info())
    return [b"replaced"]


def fields(environ, start_response):
    start_response(Name("200 Very Well"), [
        (Name("content-TYPE"), Name("text/plain")),
        ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"),
        ("X-Empty", ""), ("X-Latin", "caf\xe9"), ("X-Long", "l" * 60000), ("X-Tab", "a\tb"),
    ] + [("X-%d" % i, str(i)) for i in range(100)])
    return (Name("").encode(), b"ok")


def bad_fields(environ, start_response):
    bad = {
        "none": None, "text": "X-A: b", "pairs": [("X-A",)], "triple": [("X-A", "b", "c")], "int": [("X-A", 1)],
        "bytes": [(b"X-A", b"b")], "euro": [("X-A", "\u20ac")], "newline": [("X-A", "b\nX-C: d")], "space": [("X A", "b")],
        "colon": [("X-A:", "b")], "nameless": [("", "b")], "length": [("Content-Length", "ten")], "minus": [("Content-Length", "-1")],
    }
    start_response("200 OK", bad[environ["QUERY_STRING"]])
    return [b"never sent"]


def same_list(environ, start_response):
    reused[1] = ("X-Count", str(int(reused[1][1]) + 1))
    start_response("200 OK", reused)
    return [reused[1][1].encode()]


class Rows:
    def __iter__(self):
        return (b"r" * 1024 for _ in range(8192))


BODIES = {
    "mebibytes": lambda: [b"m" * (8 << 20)],
    "rows": Rows,
    "crumbs": lambda: [b"c"] * 100_000,
    "empties": lambda: itertools.chain([b""] * 1000, [b"at last"], [b""] * 1000),
    "views": lambda: {b"v%d," % i: i for i in range(5)}.keys(),
    "filtered": lambda: filter(None, [b"", b"some", b"", b"thing"]),
}


def bodies(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return BODIES[environ["QUERY_STRING"]]()


def asks(environ, start_response):
    """Asks the server that it runs in."""
    with urllib.request.urlopen("http://%s/bodies?views" % environ["HTTP_HOST"], timeout=120) as answer:
        start_response("200 OK", [TEXT])
        return [b"it says ", answer.read()]


PATHS = [("/" + handler.__name__, handler)
         for handler in (stages, replaced, fields, bad_fields, same_list, bodies, asks)]
