import sys

entered = 0


def ends(error):
    def handler(environ, start_response):
        global entered
        entered += 1
        own_text = "local <u>value</u>"  # noqa: F841
        raise error

    handler.__qualname__ = "ends_" + (error if isinstance(error, type) else type(error)).__name__
    return handler


def recursion(environ, start_response):
    return recursion(environ, start_response)


def memory(environ, start_response):
    return bytes(1 << 62)


def late(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    raise RuntimeError("in the middle")


def early(environ, start_response):
    start_response("200 OK", [("X-Started", "yes")])
    raise RuntimeError("before the first byte")
    yield b""


def replaced(environ, start_response):
    """Replaces the head of a response. With exc_info, PEP 3333 permits this until the head is sent."""
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("to be replaced")
    except ValueError:
        start_response("503 Replaced", [("X-Second", "2")], sys.exc_info())
    return b"sorry"


def twice(environ, start_response):
    start_response("200 OK", [])
    start_response("200 OK", [])
    return b""


PATHS = [
    ("/value", ends(ValueError("boom & co"))),
    ("/exit", ends(SystemExit(3))),
    ("/interrupt", ends(KeyboardInterrupt)),
    ("/generator-exit", ends(GeneratorExit)),
    ("/stop", ends(StopIteration)),
    ("/recursion", recursion),
    ("/memory", memory),
    ("/late", late),
    ("/early", early),
    ("/replaced", replaced),
    ("/twice", twice),
    ("/entered", lambda e, s: str(entered)),
]
