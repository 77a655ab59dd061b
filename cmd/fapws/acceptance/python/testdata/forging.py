"""Raises exceptions with text of the client, in all places."""
import asyncio
import gc
import sys
from urllib.parse import unquote_plus

import fapws


def text(environ):
    return unquote_plus(environ["QUERY_STRING"])


def raises(environ, start_response):
    raise ValueError(text(environ))


def chain(environ, start_response):
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError(text(environ)) from error


def note(environ, start_response):
    error = ValueError("with a note" if sys.version_info >= (3, 11) else text(environ))
    if sys.version_info >= (3, 11):
        error.add_note(text(environ))
    raise error


def compiles(environ, start_response):
    compile("(", text(environ), "exec")


def stream(environ, start_response):
    yield "begun"
    raise ValueError(text(environ))


class Closes:
    def __init__(self, message):
        self.message = message

    def __iter__(self):
        return iter(["whole"])

    def close(self):
        raise ValueError(self.message)


def close(environ, start_response):
    return Closes(text(environ))


def later(message):
    raise ValueError(message)


def deferred(environ, start_response):
    fapws.defer(later, text(environ))
    return "deferred"


async def waits(environ, start_response):
    raise ValueError(text(environ))


async def task(environ, start_response):
    async def fails():
        raise ValueError(text(environ))

    one = asyncio.ensure_future(fails())
    while not one.done():
        await asyncio.sleep(0)
    del one
    gc.collect()
    return "done"


PATHS = [
    ("/raise", raises), ("/chain", chain), ("/note", note), ("/compile", compiles), ("/stream", stream),
    ("/close", close), ("/defer", deferred),
]
if "async" in sys.argv:
    PATHS += [("/async", waits), ("/task", task)]
