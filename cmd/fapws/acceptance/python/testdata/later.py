import os
import sys
import threading
import time

from fapws import defer, defer_queue_size, timer

folder = sys.argv[1]
go = threading.Event()


def note(name, text="yes"):
    with open(os.path.join(folder, name), "a") as f:
        f.write(text + "\n")


@timer(0.05)
def tick():
    note("ticks")


def later(environ, start_response):
    """The server sends the response before it runs the deferred call."""
    defer(go.wait)
    defer(note, "later", text="from a request")
    return str(defer_queue_size())


def release(environ, start_response):
    go.set()
    return "released"


def slowly(environ, start_response):
    tick.stop()
    defer(time.sleep, 0.5)
    defer(note, "at the end")
    return "ok"


def breaks(environ, start_response):
    defer(int, "x")
    return "ok"


def forks(environ, start_response):
    pid = os.fork()
    if pid == 0:
        os._exit(10 * tick.active + defer_queue_size())
    return str(os.waitpid(pid, 0)[1] >> 8)


PATHS = [("/" + f.__name__, f) for f in (later, release, slowly, breaks, forks)]
