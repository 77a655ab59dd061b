"""Closes descriptors that are not its own, in several ways: while loading if CLOSE says so, or in a handler."""
import os
import subprocess
import sys
import threading

null = os.open(os.devnull, os.O_RDWR)


def one_by_one():
    for fd in range(3, 64):
        if fd != null:
            try:
                os.close(fd)
            except OSError:
                pass


def replace():
    for fd in range(3, 64):
        if fd != null:
            try:
                os.fstat(fd)
                os.dup2(null, fd)
            except OSError:
                pass


def standard():
    for fd in range(3):
        os.close(fd)
    os.closerange(0, 3)


WAYS = {
    "standard": standard,
    "few": lambda: os.closerange(3, 20),
    "all": lambda: os.closerange(3, 4096),
    "each": one_by_one,
    "dup2": replace,
}


def close(environ, start_response):
    way = WAYS[environ["PATH_INFO"].strip("/")]
    if environ["QUERY_STRING"] == "thread":
        thread = threading.Thread(target=way)
        thread.start()
        thread.join()
    else:
        way()
    return "done"


def own(environ, start_response):
    """What the application has opened can be closed, also under the number of a descriptor closed before."""
    for _ in range(3):
        fd = os.open(os.devnull, os.O_RDONLY)
        os.close(fd)
        r, w = os.pipe()
        os.dup2(r, w)
        os.close(r)
        os.close(w)
    return "own"


def children(environ, start_response):
    """In children everything can be closed."""
    said = subprocess.run(["/bin/sh", "-c", "ls /proc/self/fd | wc -l"], close_fds=True, capture_output=True, text=True).stdout
    pid = os.fork()
    if pid == 0:
        os.closerange(3, 4096)
        left = 0
        for fd in range(3, 256):
            try:
                os.fstat(fd)
                left += 1
            except OSError:
                pass
        os._exit(left)
    return "%s %d" % (said.strip(), os.WEXITSTATUS(os.waitpid(pid, 0)[1]))


def output(environ, start_response):
    print("on standard output", flush=True)
    print("on standard error", file=sys.stderr, flush=True)
    return "printed"


def hello(environ, start_response):
    return "hello"


if os.environ.get("CLOSE"):
    WAYS[os.environ["CLOSE"]]()

PATHS = [("/close", close), ("/own", own), ("/children", children), ("/output", output), ("/hello", hello)]
