"""Sets X-Sendfile and X-Accel-Redirect in each way in which a WSGI application can set header fields."""
import sys
from urllib.parse import parse_qs

folder = sys.argv[1] if len(sys.argv) > 1 else "."
seen = []


class Body:
    """An iterable that records the calls of its methods."""

    def __init__(self, start=None):
        self.start = start

    def __iter__(self):
        return self

    def __next__(self):
        seen.append("next")
        if len(seen) > 10:
            raise StopIteration
        if self.start:
            self.start()
            self.start = None
        return b"dropped"

    def close(self):
        seen.append("close")


def late(start):
    seen.append("begin")
    start()
    yield b"dropped"
    seen.append("drained")


def send(environ, start_response):
    args = parse_qs(environ["QUERY_STRING"], encoding="latin-1")
    how = args["how"][0]
    headers = [tuple(one.split(": ", 1)) for one in args["h"]]

    def start():
        return start_response(args.get("s", ["200 OK"])[0], headers)

    del seen[:]
    if how == "late":
        return late(start)
    if how == "late body":
        return Body(start)
    write = start()
    if how == "write":
        write(b"dropped")
        write(b"dropped too")
        return ["dropped"]
    if how == "replaced":
        write(b"dropped")
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oops", [], sys.exc_info())
        return (piece for piece in ["not ", "a file"])
    if how == "failed":
        write(b"dropped")
        raise ValueError("after write()")
    if how == "headers":  # Fapws4 reads this list after the handler has returned.
        start_response.response_headers.append(("X-More", "yes"))
    return {
        "list": [b"dropped", b"too"],
        "empty": [],
        "str": "dropped",
        "dict": {"dropped": 1},
        "body": Body(),
        "generator": late(lambda: None),
        "file": open(__file__, "rb"),
        "wrapper": environ["wsgi.file_wrapper"](Body()),
    }.get(how, [])


def what(environ, start_response):
    return " ".join(seen)


PATHS = [("/send", send), ("/seen", what)]
