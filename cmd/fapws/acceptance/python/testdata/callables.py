import functools


def more(environ, start_response, db=None, *, debug=False):
    return environ["SCRIPT_NAME"]


def several(*args, **kw):
    return more(*args, **kw)


def needs(db, environ, start_response, *, debug):
    return more(environ, start_response)


def none():
    """Has no parameters. functools.wraps copies this signature to a handler, which has two parameters."""


@functools.wraps(none)
def wrapped(environ, start_response):
    return more(environ, start_response)


class Called:
    def __call__(self, environ, start_response):
        return more(environ, start_response)

    def bound(self, environ, start_response):
        return more(environ, start_response)

    @staticmethod
    def static(environ, start_response):
        return more(environ, start_response)


class Response:
    def __init__(self, environ, start_response):
        self.body = more(environ, start_response)

    def __iter__(self):
        yield self.body


PATHS = [
    ("/more", more),
    ("/several", several),
    ("/wrapped", wrapped),
    ("/partial", functools.partial(needs, None, debug=True)),
    ("/bound", Called().bound),
    ("/called", Called()),
    ("/class", Response),
    ("/static", Called.static),
    ("/nested", functools.partial(Called().bound)),
]
