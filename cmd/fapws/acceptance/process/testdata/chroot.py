import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def seen(environ, start_response):
    """Returns the root directory, a file by its path outside of the chroot, and the user."""
    with open(os.path.join(HERE, "beside.txt")) as f:
        beside = f.read().strip()
    ways = []
    for way in (lambda: os.chroot(HERE), lambda: os.setuid(0), lambda: open("/etc/passwd")):
        try:
            way()
            ways.append("open")
        except OSError:
            ways.append("closed")
    return f"{' '.join(sorted(os.listdir('/')))} | {beside} | {os.getuid()} | {' '.join(ways)}"


def late(environ, start_response):
    """Imports modules while a handler runs, also modules that Python itself imports late."""
    import decimal
    import html
    import http.cookies
    import json
    import uuid

    with open(os.devnull, "w") as null:
        null.write("x")
    text = html.escape(json.dumps({"n": str(decimal.Decimal("1.10"))})).encode("cp1252").decode("idna")
    return f"{text} {len(str(uuid.uuid4()))} {http.cookies.SimpleCookie('a=1')['a'].value} {time.localtime(0).tm_hour}"


def forks(environ, start_response):
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    return str(os.waitpid(pid, 0)[1] >> 8)


def fails(environ, start_response):
    raise ValueError("in the root directory")


def size(environ, start_response):
    return str(len(environ["wsgi.input"].read()))


if "door" in sys.argv:
    DOOR = os.open("/usr", os.O_RDONLY)

PATHS = [("/seen", seen), ("/late", late), ("/forks", forks), ("/fails", fails), ("/size", size)]
