"""Answers that take different times; the order of the unsafe requests is kept."""
import time

order = []


def echo(environ, start_response):
    order.append(environ["QUERY_STRING"])
    return environ["wsgi.input"].read()


def stream(environ, start_response):
    for _ in range(3):
        yield environ["QUERY_STRING"] + " "


def sleep(environ, start_response):
    time.sleep(0.003)
    return "slept " + environ["QUERY_STRING"]


PATHS = [
    ("/echo", echo),
    ("/stream", stream),
    ("/sleep", sleep),
    ("/quick", lambda e, s: "quick " + e["QUERY_STRING"]),
    ("/order", lambda e, s: " ".join(order)),
]
