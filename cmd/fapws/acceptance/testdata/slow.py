"""Handlers that wait until the test creates a file, and a handler that sends an endless stream."""
import os
import sys
import threading
import time

folder = sys.argv[1] if len(sys.argv) > 1 else None
running = most = 0
lock = threading.Lock()
SHARED = b"s" * 16_000_000


def note(name, text="yes"):
    """Writes a text to a file. The test waits until the file has the text."""
    with open(os.path.join(folder, name), "a") as f:
        f.write(text + "\n")


def there(name):
    return os.path.exists(os.path.join(folder, name))


def wait(environ, start_response):
    """Waits until the test creates the file "go"."""
    note("entered")
    while not there("go"):
        time.sleep(0.002)
    return "waited"


class Endless:
    def __init__(self, block):
        self.block = block

    def __iter__(self):
        return self

    def __next__(self):
        return self.block

    def close(self):
        note("closed")


def endless(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Endless(b"x" * int(environ["QUERY_STRING"]))


class Ticks(Endless):
    def __next__(self):
        time.sleep(0.005)
        return b"tick\n"


def ticks(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Ticks(b"")


def sleeping(environ, start_response):
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    time.sleep(0.02)
    with lock:
        running -= 1
    return "slept"


def counts(environ, start_response):
    return str(most)


PATHS = [
    ("/wait", wait),
    ("/endless", endless),
    ("/ticks", ticks),
    ("/sleeping", sleeping),
    ("/most", counts),
    ("/pid", lambda e, s: str(os.getpid())),
    ("/shared", lambda e, s: SHARED),
    ("/large", lambda e, s: b"l" * 30_000_000),
    ("/", lambda e, s: "quick"),
]
