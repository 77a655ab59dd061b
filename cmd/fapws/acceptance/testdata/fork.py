"""Handlers for tests of --fork. Some handlers wait for files in the directory that the first argument names."""
import atexit
import os
import signal
import subprocess
import sys
import threading
import time

import fapws
import fapws.cache
from fapws.contrib.cgi import CGIApplication
from fapws.contrib.views import Staticfile

folder = sys.argv[1]
loaded_in = os.getpid()
# The program cat exits when all processes have closed the other end of its input.
# Killing the loader does not end cat while other processes have this end open.
child_of_the_application = subprocess.Popen(
    ["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
)
atexit.register(
    lambda: (
        child_of_the_application.kill(), child_of_the_application.wait(),
        note("atexit in %s" % ("loader" if os.getpid() == loaded_in else "child")),
    )
)


def note(line):
    with open(os.path.join(folder, "notes"), "a") as f:
        f.write(line + "\n")


def wait_for(name):
    while not os.path.exists(os.path.join(folder, name)):
        time.sleep(0.01)


def who(environ, start_response):
    return {
        "pid": os.getpid(), "parent": os.getppid(), "loaded_in": loaded_in,
        "main": threading.current_thread() is threading.main_thread(),
    }


def descriptors(environ, start_response):
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink("/proc/self/fd/" + fd)
        except OSError:
            pass
    return found


def waits(environ, start_response):
    environ["wsgi.input"].read()
    note("waits %d" % os.getpid())
    wait_for(environ["QUERY_STRING"])
    note("done")
    return "done\n"


def streams(environ, start_response):
    def chunks():
        try:
            yield "first\n"
            wait_for(environ["QUERY_STRING"])
            for _ in range(100_000):
                yield "x" * 1000
        finally:
            note("closed")

    return chunks()


def stuck(environ, start_response):
    note("stuck %d" % os.getpid())
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def stopped(environ, start_response):
    note("stopped %d" % os.getpid())
    os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        pass


def dies(environ, start_response):
    how = environ["QUERY_STRING"]
    if how == "late":
        start_response("200 OK", [("Content-Length", "100")])
        yield b"begin"
        os._exit(7)
    if how == "forks":
        yield b"begin, "
        if os.fork() == 0:
            os.closerange(0, 3)
            while os.path.isdir(folder):
                time.sleep(0.01)
            os._exit(0)
        yield b"end\n"
        return
    if how == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(0)


def on_alarm(number, frame):
    raise TimeoutError


signal.signal(signal.SIGALRM, on_alarm)


def alarms(environ, start_response):
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        time.sleep(120)
    except TimeoutError:
        return "interrupted\n"


def fails(environ, start_response):
    raise ValueError("as it should")


def has_children(environ, start_response):
    return "%r\n" % [subprocess.call(["sh", "-c", "exit %d" % n]) for n in range(3)]


def later(environ, start_response):
    fapws.defer(note, "deferred")
    threading.Thread(target=note, args=("thread",)).start()
    return "ok\n"


def exits(environ, start_response):
    atexit.register(note, "atexit of the handler")
    if environ["QUERY_STRING"]:
        atexit.register(wait_for, environ["QUERY_STRING"])
    return "ok\n"


def publishes(environ, start_response):
    for n in range(3):
        fapws.publish("news", "%s %d" % (environ["QUERY_STRING"], n))
    return "ok\n"


def body(environ, start_response):
    return "%d\n" % len(environ["wsgi.input"].read())


def page(environ, start_response):
    note("page made")
    return "page\n"


def purge(environ, start_response):
    fapws.cache.purge("/page")
    return "ok\n"


def sendfile(environ, start_response):
    start_response("200 OK", [("X-Sendfile", __file__)])
    return [b""]


PATHS = [
    ("/who", who), ("/descriptors", descriptors), ("/waits", waits), ("/streams", streams), ("/stuck", stuck),
    ("/stopped", stopped), ("/dies", dies), ("/fails", fails), ("/alarms", alarms), ("/children", has_children),
    ("/later", later),
    ("/exits", exits), ("/publishes", publishes), ("/body", body), ("/page", fapws.cache.cached(page, ttl=60)),
    ("/purge", purge), ("/file", lambda environ, start_response: Staticfile(folder)(environ, start_response)),
    ("/sendfile", sendfile),
    ("/program", lambda environ, start_response: CGIApplication(folder + "/program")(environ, start_response)),
    ("/news", lambda environ, start_response: fapws.channel("news")),
]
