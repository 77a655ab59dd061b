"""Streaming: responses that are sent while they are generated.

./build.sh run samples/streaming/streaming.py      then open http://127.0.0.1:8888/
"""
import time


PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<title>Streaming</title>
<style>:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem}</style>
<h1>Streaming</h1>
<p><a href=/count>Count to ten</a>, a page that grows while you look at it.
<p><a href=/rows.csv>A million rows</a> of CSV, made while they are sent: memory stays flat."""


def index(environ, start_response):
    return PAGE


def number(environ, name, default, most):
    """Returns the number in a query parameter, limited to the range from 0 to most."""
    try:
        return min(most, max(0, type(default)(environ["fapws.params"][name][0])))
    except (KeyError, ValueError, OverflowError):
        return default


def count(environ, start_response):
    """/count?to=10&pause=0.3

    Every chunk that a generator yields is sent immediately. The thread sleeps between chunks; with `--threads 0`, the
    whole server would sleep.
    """
    to = number(environ, "to", 10, 1000)
    pause = number(environ, "pause", 0.3, 5.0)
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    yield PAGE + "\n<ol>\n"
    for n in range(to):
        time.sleep(pause)
        yield f"<li>{n + 1}\n"
    yield "</ol><p>Done."


def rows(environ, start_response):
    """/rows.csv?rows=1000000

    The next piece is generated when the client has received the earlier ones, so the generator waits for a slow client,
    and memory stays small.
    """
    total = number(environ, "rows", 1_000_000, 1_000_000_000)
    start_response(
        "200 OK",
        [("Content-Type", "text/csv; charset=utf-8"), ("Content-Disposition", "attachment; filename=rows.csv")],
    )
    sent = 0
    try:
        yield "number,square\r\n"
        while sent < total:
            # One chunk has up to 500 rows, because a chunk for each row would be slow.
            piece = range(sent, min(sent + 500, total))
            yield "".join(f"{n},{n * n}\r\n" for n in piece)
            sent = piece.stop
    finally:
        # This also runs when the client disconnects, because the server closes the generator.
        print(f"rows.csv: {sent} of {total} rows taken")


PATHS = [
    ("/count", count),
    ("/rows.csv", rows),
    ("/", index),
]
