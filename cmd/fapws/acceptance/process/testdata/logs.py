import os
import subprocess
import sys


def ok(environ, start_response):
    return "ok"


def printed(environ, start_response):
    print("printed by", os.getpid(), environ["QUERY_STRING"], file=sys.stderr)
    return str(os.getpid())


def many(environ, start_response):
    number, text = environ["QUERY_STRING"].split(",")
    for n in range(int(number)):
        os.write(2, f"{text} {n:06} of {os.getpid()} {'x' * 60}\n".encode())
    return str(os.getpid())


def child(environ, start_response):
    subprocess.run(["/bin/sh", "-c", "echo a child said this >&2"])
    return "ok"


def raises(environ, start_response):
    raise ValueError("of the handler")


def short(environ, start_response):
    start_response("200 OK", [("Content-Length", "5"), ("X-Said", 'a "b"')])
    return [b"abc"]


def aborts(environ, start_response):
    os.write(2, b"last words\n")
    os.abort()


def fails(environ, start_response):
    import ctypes

    ctypes.pythonapi.Py_FatalError(b"last words of C")


PATHS = [
    ("/printed", printed),
    ("/many", many),
    ("/child", child),
    ("/raises", raises),
    ("/short", short),
    ("/aborts", aborts),
    ("/fails", fails),
    ("/", ok),
]
