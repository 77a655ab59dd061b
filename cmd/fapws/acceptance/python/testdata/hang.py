"""Handlers that hang in Python code, in C code, or in C code that holds the GIL, and handlers that do not hang."""
import ctypes
import os
import sys
import threading
import time

import fapws

folder = sys.argv[1] if len(sys.argv) > 1 else None
lock = threading.Lock()
running = most = 0


def note(name, text="yes"):
    with open(os.path.join(folder, name), "a") as f:
        f.write(text + "\n")


def blocked(environ, start_response):
    """Hangs in C code until the test writes to a FIFO."""
    note("blocked")
    with open(os.path.join(folder, "fifo"), "rb", 0) as f:
        f.read(1)
    note("unblocked")
    return "too late"


def spin(environ, start_response):
    while True:
        pass


def caught(environ, start_response):
    note("entered")
    try:
        while True:
            pass
    except fapws.Timeout:
        note("caught")
        return "caught"


def begun(environ, start_response):
    yield b"first"
    while True:
        pass


def locked(environ, start_response):
    never = threading.Lock()
    never.acquire()
    never.acquire()


def stubborn(environ, start_response):
    """Catches every exception and continues, until the test creates a file."""
    while not os.path.exists(os.path.join(folder, "go")):
        try:
            time.sleep(0.01)
        except fapws.Timeout:
            pass
    return "too late"


def waits_in_write(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"first")
    while True:
        time.sleep(0.05)


def ticking(environ, start_response):
    """Occupies its thread until the test creates a file, but sends data meanwhile, so that it does not time out."""
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    note("ticking")
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.01)
        write(b"x")
    return []


def computes(environ, start_response):
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    end = time.thread_time() + 0.2
    while time.thread_time() < end:
        for _ in range(10000):
            pass
    with lock:
        running -= 1
    return "done"


def quick100(environ, start_response):
    for _ in range(100):
        yield b"piece"


def pieces(environ, start_response):
    """Sends pieces. Before each fifth piece, it waits until the client has read the earlier pieces."""
    for i in range(50):
        yield str(i % 10).encode()
        while i % 5 == 0 and not os.path.exists(folder + environ["SCRIPT_NAME"] + str(i)):
            time.sleep(0.002)


def written(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    for piece in pieces(environ, start_response):
        write(piece)
    return []


def keeps_gil(environ, start_response):
    """Hangs in C code that holds the GIL, until the test writes to a FIFO."""
    fifo = os.open(os.path.join(folder, "fifo"), os.O_RDWR)  # O_RDWR opens the FIFO without waiting for a writer.
    ctypes.PyDLL(None).read(fifo, ctypes.create_string_buffer(1), ctypes.c_size_t(1))
    return "too late"


def queued(environ, start_response):
    note("queued")
    return "queued"


def alone(environ, start_response):
    """Returns the largest number of requests that have run this handler at the same time."""
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    time.sleep(0.01)
    with lock:
        running -= 1
    return str(most)


def ident(environ, start_response):
    return str(threading.get_ident())


class Lasting:
    """An object whose finalizer takes much longer than the interval of the monitor."""

    def __del__(self):
        time.sleep(0.03)


def lasting(environ, start_response):
    # In builds without the GIL, a different thread could handle the next request meanwhile.
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        environ["lasting"] = Lasting()
    return str(threading.get_ident())


def together(environ, start_response):
    """Waits until as many requests run this handler as the query says."""
    global running
    with lock:
        running += 1
    while running < int(environ["QUERY_STRING"]):
        time.sleep(0.001)
    return str(threading.get_ident())


def quick(environ, start_response):
    return "quick"


PATHS = [
    ("/" + f.__name__, f)
    for f in (
        blocked, locked, stubborn, waits_in_write, ticking, computes, quick100, pieces, written, spin, caught, begun,
        keeps_gil, queued, alone, ident, lasting, together,
    )
] + [("/", quick)]


def wsgi(environ, start_response):
    text = dict(PATHS)[environ["PATH_INFO"]](environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
