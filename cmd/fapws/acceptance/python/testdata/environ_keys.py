"""Returns environ, changes environ (which must not affect the next request), and writes to wsgi.errors."""
import json
import os
import sys
import time

folder = sys.argv[1]


def show(environ, start_response):
    seen = {k: v for k, v in environ.items() if isinstance(v, str)}
    seen["others"] = sorted(k for k, v in environ.items() if not isinstance(v, str))
    seen["exactly a dict"] = type(environ) is dict
    seen["native strings"] = all(
        type(v) is str and max(v, default="") <= "\xff" for v in environ.values() if isinstance(v, str)
    )
    environ.update(dict.fromkeys(environ, "spoilt"), own="spoilt")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]


def errors(environ, start_response):
    """Writes a text to wsgi.errors, and continues when the test has seen the text."""
    stream = environ["wsgi.errors"]
    stream.write("first line\n")
    stream.writelines(["second ", "and third\nfourth\n"])
    stream.write("no line")
    stream.flush()
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.005)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"told"]


PATHS = [("/errors", errors), ("/app", show), ("/", show)]
