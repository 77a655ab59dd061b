"""Handlers that are slow or return large responses. Files in FOLDER record how many handlers run at the same time."""
import os
import sys
import threading
import time

FOLDER = sys.argv[1]
lock = threading.Lock()
running = most = 0


def slow(environ, start_response):
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    while not os.path.exists(FOLDER + "/go"):
        time.sleep(0.01)
    with lock:
        running -= 1
    start_response("200 OK", [])
    return [b"slow"]


def report(environ, start_response):
    start_response("200 OK", [])
    return [b"%d" % most]


def large(environ, start_response):
    start_response("200 OK", [])
    return [b"x" * 10_000_000]


def hello(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]


PATHS = [("/slow", slow), ("/report", report), ("/large", large), ("/", hello)]
