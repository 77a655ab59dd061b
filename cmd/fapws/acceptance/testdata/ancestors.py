"""A small site with the handlers of fapws3 and Fapws4."""
import os
from hashlib import md5

LARGE = bytes(range(256)) * 16384


def pieces(environ, start_response):
    """Sends the same bytes as /large, in pieces that an iterator yields."""
    for i in range(0, len(LARGE), 50_000):
        yield LARGE[i : i + 50_000]


def digest(environ, start_response):
    return md5(LARGE).hexdigest()


def process_time(environ, start_response):
    times = os.times()
    return str(times.user + times.system)


PATHS = [
    ("/large", lambda e, s: LARGE),
    ("/pieces", pieces),
    ("/digest", digest),
    ("/cpu", process_time),
    ("/", lambda e, s: "hello"),
]
