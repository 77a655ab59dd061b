from fapws import HTTPError


class Closing:
    """An iterable that raises an exception at its first step, and records that close() was called."""

    closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        raise HTTPError(410, "in an iterator")

    def close(self):
        Closing.closed += 1


class Teapot(HTTPError):
    def __init__(self):
        super().__init__(418)


class Bad(HTTPError):
    def __call__(self, environ, start_response):
        raise HTTPError(404, "again and again")


def below():
    raise HTTPError(404, "No <b>such</b> page & more", headers=[("X-Own", "yes")])


def missing(environ, start_response):
    start_response("200 OK", [("X-First", "no"), ("Content-Length", "3")])
    below()


def generator(environ, start_response):
    start_response.add_header("X-First", "no")
    raise HTTPError(403)
    yield "never"


def iterator(environ, start_response):
    return Closing()


def closed(environ, start_response):
    return [str(Closing.closed)]


def moved(environ, start_response):
    raise HTTPError(303, headers={"Location": "/elsewhere"})


def json(environ, start_response):
    raise HTTPError(422, '{"error": "<no>"}', headers={"Content-Type": "application/json"})


def teapot(environ, start_response):
    raise Teapot


def line(environ, start_response):
    raise HTTPError(400, "a\nfapws: b\x1b[31m")


def bad(environ, start_response):
    raise Bad(404)


def late(environ, start_response):
    yield "first"
    raise HTTPError(404)


def wrong(environ, start_response):
    raise HTTPError(200)


def status(environ, start_response):
    raise HTTPError(int(environ["PATH_INFO"].strip("/")))


PATHS = [
    ("/" + f.__name__, f)
    for f in (missing, generator, iterator, closed, moved, json, teapot, line, bad, late, status, wrong)
]
PATHS.append(("/gone", HTTPError(410, "gone")))
