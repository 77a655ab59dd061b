"""The first process loads at once. All other processes wait until the test creates a file. Some handlers end their
process, or stop it by SIGSTOP."""
import ctypes
import os
import signal
import sys
import time

place = sys.argv[1]
try:
    os.mkdir(place + "/first")
except FileExistsError:
    with open(place + "/others", "a") as f:
        f.write("x")
    while not os.path.exists(place + "/go"):
        time.sleep(0.01)


def hello(environ, start_response):
    return "hello"


def die(environ, start_response):
    os.kill(os.getpid(), signal.SIGKILL)


def leave(environ, start_response):
    os._exit(3)


def stop(environ, start_response):
    os.kill(os.getpid(), signal.SIGSTOP)
    return "stopped"


def hang(environ, start_response):
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass


def keeps_gil(environ, start_response):
    ctypes.PyDLL(None).sleep(1000)


PATHS = [("/die", die), ("/keeps_gil", keeps_gil), ("/leave", leave), ("/stop", stop), ("/hang", hang), ("/", hello)]
