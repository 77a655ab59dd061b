"""Handlers whose clients disconnect. Each handler writes to a file in the directory argv[1] whether it has noticed the
disconnect."""
import asyncio
import os
import sys
import threading
import time

import fapws

folder = sys.argv[1]
kept = []


def note(name, text="yes"):
    with open(os.path.join(folder, name), "a") as f:
        f.write(text + "\n")


def elsewhere(environ, start_response):
    """Another thread checks whether the client has disconnected."""
    disconnected = environ["waitress.client_disconnected"]
    note("entered", str(disconnected()))
    left = threading.Event()

    def ask():
        while not disconnected():
            time.sleep(0.002)
        left.set()

    threading.Thread(target=ask, daemon=True).start()
    left.wait()
    note("left")
    return "still here"


async def awaits(environ, start_response):
    note("entered", str(environ["fapws.disconnected"]()))
    while not environ["fapws.disconnected"]():
        await asyncio.sleep(0.002)
    note("left")
    return "still here"


def keeps(environ, start_response):
    kept.append(environ["fapws.disconnected"])
    return repr([disconnected() for disconnected in kept])


def writes(environ, start_response):
    write = start_response("200 OK", [])
    try:
        while True:
            write(b"x" * 65536)
    except fapws.ClientDisconnected as error:
        note("raised", str(isinstance(error, BrokenPipeError)))
        raise


def sends(environ, start_response):
    """Waits until its client has disconnected, and then yields two pieces."""
    while not environ["fapws.disconnected"]():
        time.sleep(0.002)
    yield "one "
    yield "two"


PATHS = [("/" + f.__name__, f) for f in (elsewhere, keeps, writes, sends)]
if "--fork" not in sys.argv:
    PATHS.append(("/awaits", awaits))
