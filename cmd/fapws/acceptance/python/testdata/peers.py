"""What applications do to other servers in the tests of these: see peers_test.go."""
import itertools
import urllib.request

TEXT = ("Content-Type", "text/plain")
reused = [TEXT, ("X-Count", "0")]


class Name(str):
    """As frameworks have them, for strings that are safe to show."""


def fields(environ, start_response):
    start_response(Name("200 Very Well"), [
        (Name("content-TYPE"), Name("text/plain")),
        ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"),
        ("X-Empty", ""), ("X-Latin", "caf\xe9"), ("X-Long", "l" * 60000), ("X-Tab", "a\tb"),
    ] + [("X-%d" % i, str(i)) for i in range(100)])
    return (Name("").encode(), b"ok")


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
         for handler in (fields, same_list, bodies, asks)]
