import ctypes
import os
import subprocess
import time

VERSION = 1


def pid(environ, start_response):
    return str(os.getpid())


def version(environ, start_response):
    return str(VERSION)


def nap(environ, start_response):
    time.sleep(0.3)
    return "napped"


def enter(environ, start_response):
    """Records that the handler has begun, and waits until the test creates a file."""
    folder = environ["QUERY_STRING"]
    open(folder + "/entered", "w").write("yes")
    while not os.path.exists(folder + "/go"):
        time.sleep(0.01)
    return "waited"


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    while True:
        yield b"data: x\n\n"
        time.sleep(0.05)


def leave(environ, start_response):
    os._exit(5)


def grow(environ, start_response):
    grow.kept = bytearray(int(environ["QUERY_STRING"]))
    for i in range(0, len(grow.kept), 4096):
        grow.kept[i] = 1
    return str(os.getpid())


def healthy(environ, start_response):
    if HEALTH != 200:
        start_response(str(HEALTH) + " Ill", [])
    return "well"


def blocked(environ, start_response):
    """Returns the signals that a child process of the application blocks."""
    return subprocess.run(["grep", "^SigBlk", "/proc/self/status"], stdout=subprocess.PIPE).stdout


def hold(environ, start_response):
    """Sleeps in C code that holds the GIL."""
    ctypes.PyDLL(None).sleep(100)


HEALTH = 200
PATHS = [("/pid", pid), ("/version", version), ("/nap", nap), ("/enter", enter), ("/stream", stream),
         ("/leave", leave), ("/grow", grow), ("/health", healthy), ("/blocked", blocked), ("/hold", hold)]
