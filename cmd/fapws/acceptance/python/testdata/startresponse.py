import sys
import weakref

TEXT = ("Content-Type", "text/plain")
seen = {}


class Marker:
    """An object that is released when the traceback of the exception is released."""


def fails():
    local = Marker()
    seen["marker"] = weakref.ref(local)
    raise ValueError("the error")


def replaced(environ, start_response):
    start_response.add_header("X-Before", "1")
    write = start_response("200 OK", [TEXT, ("Content-Length", "3"), ("X-First", "1")])
    write(b"")  # No byte was sent, so the head can still be replaced.
    try:
        fails()
    except ValueError:
        start_response("500 Replaced", [TEXT, ("Content-Length", "5")], sys.exc_info())
    return [b"sorry"]


def first(environ, start_response):
    try:
        fails()
    except ValueError:
        start_response("503 At First", [TEXT], exc_info=sys.exc_info())
    return [b"sorry"]


def late(environ, start_response):
    """Fails during the response, and calls start_response with exc_info, as PEP 3333 describes."""
    start_response("200 OK", [TEXT])
    yield b"begun"
    try:
        fails()
    except ValueError:
        start_response("500 Too Late", [TEXT], sys.exc_info())
    yield b"never"


def caught(environ, start_response):
    start_response("200 OK", [TEXT])
    yield b"begun "
    try:
        fails()
    except ValueError:
        try:
            start_response("500 Too Late", [TEXT, ("X-Late", "1")], sys.exc_info())
        except ValueError as same:
            yield b"raised " + str(same).encode()


def junk(exc_info):
    def app(environ, start_response):
        write = start_response("200 OK", [TEXT])
        write(b"begun ")
        try:
            start_response("500 Too Late", [TEXT], exc_info)
        except TypeError as error:
            return [str(error).encode()]
        return [b"no error"]

    return app


def twice(environ, start_response):
    start_response("200 OK", [TEXT])
    start_response("200 OK", [TEXT])
    return [b"never"]


def twice_none(environ, start_response):
    start_response("200 OK", [TEXT])
    start_response("200 OK", [TEXT], None)
    return [b"never"]


def twice_caught(environ, start_response):
    start_response("201 First", [TEXT])
    try:
        start_response("202 Second", [("X-Second", "1")])
    except AssertionError:
        return [b"first"]
    return [b"second"]


def at_first_chunk(environ, start_response):
    class Result:
        def __iter__(self):
            start_response("202 At Iter", [TEXT])
            return iter([b"", b"body"])

    return Result()


def after_first_chunk(environ, start_response):
    yield b"begun "
    try:
        start_response("202 Too Late", [TEXT])
    except AssertionError as error:
        yield str(error).encode()


def never(environ, start_response):
    return [b"no call"]


def half(environ, start_response):
    """Calls start_response with invalid fields. The failed call must have no effect."""
    start_response.add_header("X-Kept", "1")
    try:
        start_response(
            "201 Created",
            [("Content-Length", "3"), ("Content-Type", "a/b"), ("X-Lost", "1"), ("Connection", "close"), ("X", 1)],
        )
    except TypeError:
        start_response("500 Page", [("Content-Length", "10"), TEXT], sys.exc_info())
    return [b"error page"]


def half_status(environ, start_response):
    try:
        start_response("OK", [("Content-Length", "3"), ("X-Lost", "1")])
    except ValueError:
        start_response("500 Page", [("Content-Length", "10"), TEXT])
    return [b"error page"]


def nothing_given(environ, start_response):
    start_response()
    return []


class Text(str):
    pass


HEADERS = {
    "bytes-name": [(b"X-A", "1")],
    "bytes-value": [("X-A", b"1")],
    "int-value": [("Content-Length", 4)],
    "none-value": [("X-A", None)],
    "euro": [("X-A", "\u20ac")],
    "euro-name": [("X-\u20ac", "1")],
    "empty-name": [("", "1")],
    "space-name": [("X A", "1")],
    "colon-name": [("X-A:", "1")],
    "latin-name": [("X-\xe9", "1")],
    "newline": [("X-A", "b\nX-C: d")],
    "triple": [("X-A", "1", "2")],
    "single": [("X-A",)],
    "text": ["X-A: 1"],
    "dict": {"X-A": "1"},
    "none": None,
    "number": 7,
    "negative-length": [("Content-Length", "-1")],
    "word-length": [("Content-Length", "ten")],
    "two-lengths": [("Content-Length", "1"), ("content-length", "2")],
}
STATUS = {
    "bytes": b"200 OK", "none": None, "no-space": "200OK", "two-digits": "20 OK", "letters": "OK", "euro": "200 \u20ac",
    "float": 200.0,
}
GOOD = {
    "number": 202, "bare": "202", "space": "202 ", "latin": "202 \xe9t\xe9", "long": "202 " + "x" * 300,
    "colon": "202 A: b", "subclass": Text("202 Text"),
}


def headers(environ, start_response):
    start_response("200 OK", HEADERS[environ["QUERY_STRING"]])
    return [b"never"]


def status(environ, start_response):
    start_response(STATUS[environ["QUERY_STRING"]], [TEXT])
    return [b"never"]


def good(environ, start_response):
    start_response(
        GOOD[environ["QUERY_STRING"]],
        [(Text("Content-Type"), Text("text/plain")), ["X-List", "ok"], ("X-Latin", "\xe9")],
    )
    return [b"body"]


def hops(environ, start_response):
    name, _, value = environ["QUERY_STRING"].partition("=")
    start_response("200 OK", [TEXT, (name, value), (name.lower(), value), ("X-Kept", "1")])
    return [b"body"]


PATHS = [
    ("/replaced", replaced), ("/first", first), ("/late", late), ("/caught", caught),
    ("/junk/tuple", junk(("a", 1, 2))), ("/junk/short", junk((ValueError,))), ("/junk/true", junk(True)),
    ("/junk/nothing", junk((None, None, None))), ("/junk/traceback", junk((ValueError, ValueError("v"), "tb"))),
    ("/twice/none", twice_none), ("/twice/caught", twice_caught), ("/twice", twice),
    ("/at-first-chunk", at_first_chunk), ("/after-first-chunk", after_first_chunk), ("/never", never),
    ("/half/status", half_status), ("/half", half), ("/nothing-given", nothing_given),
    ("/headers", headers), ("/status", status), ("/good", good), ("/hops", hops),
    ("/marker", lambda e, s: [str(seen.get("marker", bool)() in (None, False)).encode()]),
]
