import os
import sys
import threading
import time

import fapws
from fapws.contrib.cgi import CGIApplication


def ok(environ, start_response):
    return "ok"


def raises(environ, start_response):
    try:
        raise KeyError("the cause")
    except KeyError as e:
        raise ValueError("raised for " + environ["QUERY_STRING"]) from e


def nothing(environ, start_response):
    pass


def short(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"abc"]


def field(environ, start_response):
    start_response("200 OK", [("X-Bad", "a\r\nb")])
    return [b""]


class Closing(list):
    def close(self):
        raise ValueError("closing for list")


def closes(environ, start_response):
    start_response("200 OK", [])
    return Closing([b"x"])


def breaks(environ, start_response):
    start_response("200 OK", [])
    yield b"x"
    raise ValueError("in the middle")


def says(environ, start_response):
    errors = environ["wsgi.errors"]
    print("said", "in", "pieces", environ["QUERY_STRING"], file=errors)
    errors.writelines(["one\n", "two \u20ac \udc80\n"])
    errors.write("no end")
    errors.flush()
    errors.write(" and more\n")
    print("printed to stderr", file=sys.stderr)
    return "ok"


def begins(environ, start_response):
    errors = environ["wsgi.errors"]
    errors.write("begun " + environ["QUERY_STRING"])
    errors.flush()
    time.sleep(float(environ["QUERY_STRING"]))
    errors.write("x" * 9000)
    return "ok"


def many(environ, start_response):
    number, text = environ["QUERY_STRING"].split(",")
    for n in range(int(number)):
        environ["wsgi.errors"].write(f"{text} {n:06} {'x' * 60}\n")
    return "ok"


def dies(environ, start_response):
    environ["wsgi.errors"].write("last words\n")
    os._exit(7)


def forks(environ, start_response):
    pid = os.fork()
    if pid == 0:
        environ["wsgi.errors"].write("said by a child\n")
        raise SystemExit(0)
    os.waitpid(pid, 0)
    return "ok"


def slow(environ, start_response):
    for _ in range(1000):
        time.sleep(0.01)
    return "too late"


def threads(environ, start_response):
    errors = environ["wsgi.errors"]

    def say(who):
        for n in range(200):
            print("thread", who, "number", n, "of", "two", "hundred", file=errors)

    all = [threading.Thread(target=say, args=(n,)) for n in range(4)]
    for t in all:
        t.start()
    for t in all:
        t.join()
    return "ok"


def on_message(ws, message):
    raise ValueError("on a message")


programs = CGIApplication(os.path.dirname(os.path.abspath(__file__)) + "/cgi", interpreters={".sh": "sh"})


def guarded(environ, start_response):
    return programs(environ, start_response)

def fills(environ, start_response):
    """Fills the disk of the server's log. Then it writes more lines than can wait for the log of the host."""
    kept, full = os.dup(2), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 2)
    environ["wsgi.errors"].write("lost\n" * 1_000_000)
    os.dup2(kept, 2)
    os.close(full)
    os.close(kept)
    return "filled"


PATHS = [
    ("/fills", fills),
    ("/raises", raises),
    ("/nothing", nothing),
    ("/short", short),
    ("/field", field),
    ("/closes", closes),
    ("/breaks", breaks),
    ("/says", says),
    ("/begins", begins),
    ("/many", many),
    ("/dies", dies),
    ("/forks", forks),
    ("/slow", slow),
    ("/threads", threads),
    ("/socket", fapws.WebSocket(on_message=on_message)),
    ("/cgi", programs),
    ("/guarded", guarded),
    ("/", ok),
]
