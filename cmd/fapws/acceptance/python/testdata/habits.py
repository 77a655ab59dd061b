"""Features of fapws3: its names for timers, Gzip, Log and Session."""
import sys

import fapws
from fapws.base import Start_response  # noqa: F401
from fapws.contrib.headers import rfc1123_date
from fapws.contrib.log import Log
from fapws.contrib.sessions import Session, Sessions
from fapws.contrib.zip import Gzip

folder = sys.argv[1]
TEXT = "something to compress, " * 100
sessions = Sessions(folder + "/sessions.db")
ticks = 0


def tick(step):
    global ticks
    ticks += step


ticking = fapws.add_timer(0.01, tick, 1)


def stop(environ, start_response):
    fapws.stop_timer(ticking)
    return str(ticking.active)


def restart(environ, start_response):
    fapws.restart_timer(ticking)
    return str(ticking.active)


def ticked(environ, start_response):
    return str(ticks)


def date(environ, start_response):
    return rfc1123_date(784111777)


@Gzip()
def text(environ, start_response):
    start_response("200 Fine", [("Content-Type", "text/plain"), ("Content-Length", str(len(TEXT))), ("ETag", '"1"')])
    start_response.set_cookie("a", "b")
    return [TEXT.encode()]


@Gzip()
def plain(environ, start_response):
    return TEXT


@Gzip()
def small(environ, start_response):
    return "small"


@Gzip()
def json(environ, start_response):
    return {"text": TEXT}


@Gzip()
def written(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(TEXT.encode())
    return [TEXT.encode()]


class Pieces:
    closed = 0

    def __iter__(self):
        for i in range(3):
            yield f"{i} {TEXT}"

    def close(self):
        Pieces.closed += 1


@Gzip()
def pieces(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Vary", "Cookie")])
    return Pieces()


@Gzip()
@Log(sys.stderr)
@sessions
def generated(environ, start_response):
    start_response("200 Fine", [("Content-Type", "text/plain"), ("X-Late", "1")])
    yield TEXT
    yield TEXT


def closed(environ, start_response):
    return str(Pieces.closed)


@Gzip()
def image(environ, start_response):
    start_response("200 OK", [("Content-Type", "image/png")])
    return [TEXT.encode()]


@Gzip()
def missing(environ, start_response):
    start_response.status_code = 404
    return TEXT


@Gzip()
def whole(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return open(__file__, "rb")


@Log()
def logged(environ, start_response):
    start_response("201 Created", [("Content-Type", "text/plain")])
    return ["12", "345"]


@Log(open(folder + "/log", "a"))
def filed(environ, start_response):
    return (piece for piece in ("a", "b"))


@sessions
def count(environ, start_response):
    session = environ["fapws.session"]
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


@sessions
def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    session = environ["fapws.session"]
    session["visits"] = session.get("visits", 0) + 1
    yield str(session["visits"])
    yield "."


@sessions
def look(environ, start_response):
    return repr(dict(environ["fapws.session"]))


@sessions
def log_in(environ, start_response):
    environ["fapws.session"].renew()
    environ["fapws.session"]["user"] = "me"
    return "in"


@sessions
def log_out(environ, start_response):
    environ["fapws.session"].clear()
    return "out"


@sessions
def late(environ, start_response):
    """While this handler runs, another request of the client logs out."""
    log_out({"HTTP_COOKIE": environ["HTTP_COOKIE"]}, lambda status, fields: None)
    if environ["QUERY_STRING"]:
        environ["fapws.session"]["late"] = True
    return "late"


def record(environ, start_response):
    """Stores a session in the way of scripts for fapws3."""
    row = {}
    first = Session(row, max_age=60)
    first.setdata({"n": 1})
    again = Session(row, max_age=60)
    late = Session(dict(row, expiration_date="2001-02-03 04:05:06"))
    before = again.getid()
    again.newid()
    return repr([again.getdata(), late.getdata(), len(before), before != again.getid(), sorted(row)])


PATHS = [
    ("/" + f.__name__, f)
    for f in (
        stop, restart, ticked, date, text, plain, small, json, written, pieces, generated, closed, image, missing,
        whole, logged, filed, count, stream, look, log_in, log_out, late, record,
    )
]
