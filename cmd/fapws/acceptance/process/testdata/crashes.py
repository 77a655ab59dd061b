"""Crashes its process, while it is loaded in the way that CRASH names, or in a handler such as /segv."""
import ctypes
import faulthandler
import os
import threading

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]


def segv():
    ctypes.string_at(0)


def abort():
    os.abort()


def heap():
    memory = libc.malloc(24)
    libc.free(memory)
    libc.free(memory)


def thread():
    other = threading.Thread(target=segv)
    other.start()
    other.join()


def enabled():
    faulthandler.enable()
    segv()


def leave():
    os._exit(1)


def succeed():
    os._exit(0)


def crash(environ, start_response):
    globals()[environ["PATH_INFO"].strip("/")]()
    return "still here"


def hello(environ, start_response):
    return "hello"


print("loading", flush=True)
if os.environ.get("CRASH"):
    globals()[os.environ["CRASH"]]()

PATHS = [("/hello", hello), ("/", crash)]
