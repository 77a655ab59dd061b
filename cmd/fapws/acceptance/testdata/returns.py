import io
import os
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def handler(result):
    return lambda environ, start_response: result()


def generator():
    yield b"one,"
    yield "tw\u00f6,"
    yield b""
    yield b"three"


class Iterable:
    # Iterables with __getitem__ alone use the oldest protocol of iteration.
    def __getitem__(self, i):
        return [b"x", b"y"][i]


class Lines(list):
    """A subclass of list is a list."""


def from_position():
    f = open(os.path.join(HERE, "digits.txt"), "rb")
    f.read(4)
    return f


def big_file():
    f = tempfile.TemporaryFile()
    f.write(b"0123456789abcdef" * (3 << 16))
    f.seek(1 << 20)
    return f


class Odd:
    """Has read(), but no other method of a file."""

    def __init__(self):
        self.left = 3

    def read(self, n=-1):
        self.left -= 1
        return b"block " if self.left > 0 else b""


def wrapped(environ, start_response):
    return environ["wsgi.file_wrapper"](io.BytesIO(b"wrapped"), 3)


def typed(environ, start_response):
    start_response("203 Other Text", [("Content-Type", "text/x-own"), ("X-One", "1"), ("X-One", "2")])
    return "typed"


def written(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    return [b"and returned"]


def none(environ, start_response):
    return None


def number(environ, start_response):
    return 7


def mixed(environ, start_response):
    return [b"ok", 7]


def late(environ, start_response):
    yield b""
    start_response("202 Late", [("Content-Type", "text/x-late")])
    yield "late"


PATHS = [
    ("/str", handler(lambda: "h\u00e9llo \u20ac")),
    ("/empty", handler(lambda: "")),
    ("/bytes", handler(lambda: b"\x00\xff")),
    ("/bytearray", handler(lambda: bytearray(b"array"))),
    ("/list", handler(lambda: [b"a", b"b", b""])),
    ("/strlist", handler(lambda: ["\u00e9", "b"])),
    ("/tuple", handler(lambda: ("a", b"b"))),
    ("/sublist", handler(lambda: Lines([b"s", b"t"]))),
    ("/generator", handler(generator)),
    ("/map", handler(lambda: map(str, range(3)))),
    ("/iterable", handler(Iterable)),
    ("/file", handler(from_position)),
    ("/html", handler(lambda: open(os.path.join(HERE, "page.html"), "rb"))),
    ("/text", handler(lambda: open(os.path.join(HERE, "page.html")))),
    ("/big", handler(big_file)),
    ("/proc", handler(lambda: open("/proc/self/status", "rb"))),
    ("/devnull", handler(lambda: open(os.devnull, "rb"))),
    ("/popen", handler(lambda: os.popen("echo a pipe"))),
    ("/surrogate", handler(lambda: "\ud800")),
    ("/bytesio", handler(lambda: io.BytesIO(b"from memory"))),
    ("/stringio", handler(lambda: io.StringIO("t\u00e9xt"))),
    ("/odd", handler(Odd)),
    ("/wrapped", wrapped),
    ("/dict", handler(lambda: {"a": [1, None, "\u00e9"]})),
    ("/typed", typed),
    ("/written", written),
    ("/late", late),
    ("/none", none),
    ("/number", number),
    ("/mixed", mixed),
]
# The first matching prefix wins, so "/strlist" must precede "/str".
PATHS.sort(key=lambda entry: entry[0], reverse=True)
