"""Handlers about which the server writes lines into its error log."""
import time
import fapws


def broken(environ, start_response):
    raise ValueError("broken\n<0>line")


def short(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"abc"]


def late(environ, start_response):
    while True:
        time.sleep(0.01)


def missing():
    raise KeyError("deferred")


def deferred(environ, start_response):
    fapws.defer(missing)
    return "hello"


PATHS = [("/broken", broken), ("/short", short), ("/late", late), ("/deferred", deferred)]
