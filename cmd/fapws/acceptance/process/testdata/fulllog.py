import logging
import os
import sys
import traceback

kept = [os.dup(1), os.dup(2)]
logging.basicConfig(stream=sys.stderr)


def fill(environ, start_response):
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    os.dup2(full, 2)
    os.close(full)
    return "full"


def say(environ, start_response):
    print("by print", file=sys.stderr)
    environ["wsgi.errors"].write("by wsgi.errors\n")
    environ["wsgi.errors"].flush()
    print("by stdout", flush=True)
    logging.error("by logging")
    sys.stderr.write("x" * 100000 + "\n")
    try:
        1 / 0
    except ZeroDivisionError:
        traceback.print_exc()
    return "said"


def raises(environ, start_response):
    raise RuntimeError("its traceback is lost")


def leave(environ, start_response):
    """Makes standard error a pipe that no process reads."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 2)
    os.close(writer)
    return "left"


def stall(environ, start_response):
    """Makes standard error a full pipe without a reader, so that a write would wait."""
    reader, writer = os.pipe()
    kept.append(reader)
    os.set_blocking(writer, False)
    for size in (4096, 1):
        try:
            while True:
                os.write(writer, b"x" * size)
        except BlockingIOError:
            pass
    os.set_blocking(writer, True)
    os.dup2(writer, 1)
    os.dup2(writer, 2)
    os.close(writer)
    return "stalled"


def mend(environ, start_response):
    os.dup2(kept[0], 1)
    os.dup2(kept[1], 2)
    return "mended"


PATHS = [("/" + f.__name__, f) for f in (fill, say, raises, leave, stall, mend)]
