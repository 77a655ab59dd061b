"""For fapws ctl: handlers that hang until they are told, from outside, not to."""
import os
import time


def deep(n):
    if n:
        return deep(n - 1)
    while not os.path.exists(os.environ["RELEASE"]):  # here it hangs
        time.sleep(0.01)
    return "released"


def hangs(environ, start_response):
    return deep(2)


def pid(environ, start_response):
    return str(os.getpid())


PATHS = [("/hangs", hangs), ("/", pid)]
