import io


def ok(start_response):
    return start_response("200 OK", [])


def items(environ, start_response):
    ok(start_response)
    return ["text"]


def array(environ, start_response):
    ok(start_response)
    return (bytearray(b"text"),)


def set_of_text(environ, start_response):
    ok(start_response)
    return {"text"}


def whole(environ, start_response):
    ok(start_response)
    return "text"


def whole_bytes(environ, start_response):
    ok(start_response)
    return b"text"


def mapping(environ, start_response):
    ok(start_response)
    return {}


def text_file(environ, start_response):
    ok(start_response)
    return io.StringIO("text")


def pieces(environ, start_response):
    ok(start_response)
    yield b"te"
    yield "xt"


def inner(environ, start_response):
    ok(start_response)
    yield from pieces(environ, lambda *head: None)


class Made:
    def __init__(self, environ, start_response):
        self.start_response = start_response

    def __iter__(self):
        ok(self.start_response)
        yield "text"


def silent(environ, start_response):
    return [b"text"]


def silent_pieces(environ, start_response):
    yield b"text"


def silent_status(environ, start_response):
    start_response.status_code = 201
    start_response.add_header("X-A", "b")
    return [b"text"]


def status(environ, start_response):
    start_response(200, [])
    return [b"text"]


def status_form(environ, start_response):
    start_response("200", [])
    return [b"text"]


def headers(environ, start_response):
    start_response("200 OK", (("X-A", "b"),))
    return [b"text"]


def pairs(environ, start_response):
    start_response("200 OK", [["X-A", "b"]])
    return [b"text"]


def value(environ, start_response):
    start_response("200 OK", [("Content-Length", 4)])
    return [b"text"]


def hop(environ, start_response):
    start_response("200 OK", [("Connection", "close")])
    return [b"text"]


def keywords(environ, start_response):
    start_response("200 OK", headers=[])
    return [b"text"]


def written(environ, start_response):
    write = ok(start_response)
    write("text")
    return []


def nothing(environ, start_response):
    ok(start_response)


def wrapped(environ, start_response):
    def started(status, headers, exc_info=None):
        return start_response(status, headers + [("X-A", "b")])

    return whole(environ, started)


class Routed:
    def __call__(self, environ, start_response):
        return items(environ, start_response)


routed = Routed()


class Closing:
    closed = 0

    def __iter__(self):
        yield b"tex"
        yield b"t"

    def close(self):
        Closing.closed += 1


def right(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/closed":
        start_response("200 OK", [])
        return [b"%d" % Closing.closed]
    write = start_response("200 Fine", [("Content-Type", "text/plain"), ("X-A", "\xe4")])
    if path == "/written":
        write(b"text")
        return []
    if path == "/file":
        return environ["wsgi.file_wrapper"](io.BytesIO(b"text"))
    if path == "/iterator":
        return map(bytes.upper, [b"text"])
    if path == "/closing":
        return Closing()
    if path == "/single":
        return {b"text": 1}.keys()
    if path == "/generator":
        return (piece for piece in [b"te", b"xt"])
    return [b"text"]


def late(environ, start_response):
    start_response("200 OK", [])
    yield b"text"


def two_places(environ, start_response):
    if environ["PATH_INFO"] == "/other":
        ok(start_response)
        return ["text"]
    ok(start_response)
    return ["text"]
