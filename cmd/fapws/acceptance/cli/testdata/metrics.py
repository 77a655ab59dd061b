"""An application for tests of "fapws ctl metrics", with its own metrics. One handler waits until a file exists."""
import os
import time

from fapws import metrics

ORDERS = metrics.counter("shop_orders", "Orders.", labels=("kind",))
LARGEST = metrics.gauge("shop_largest", "The largest order.", workers="max")
TOOK = metrics.histogram("shop_took_seconds", "Time of an order.", buckets=(0.5, 1))


def order(environ, start_response):
    n = int(environ["QUERY_STRING"] or 1)
    ORDERS.add(n, kind='w"eb\n')
    LARGEST.set(n)
    TOOK.observe(0.25)
    return "ordered by %d" % os.getpid()


def waits(environ, start_response):
    while not os.path.exists(os.environ["RELEASE"]):
        time.sleep(0.01)
    return "released"


def fails(environ, start_response):
    start_response("503 Service Unavailable", [])
    return ["no"]


def works(environ, start_response):
    time.sleep(0.05)
    return "worked"


def holds(environ, start_response):
    import ctypes

    fd = os.open(os.environ["RELEASE"], os.O_RDONLY)
    ctypes.PyDLL(None).read(fd, ctypes.create_string_buffer(1), 1)  # PyDLL keeps the GIL during the call.
    os.close(fd)
    return "held"


def collects(environ, start_response):
    import gc

    # In builds without the GIL, gc.collect() stops all other threads, and therefore waits for the handler "holds".
    return str(gc.collect())


PATHS = [
    ("/holds", holds), ("/collects", collects), ("/order", order), ("/waits", waits), ("/fails", fails),
    ("/works", works),
]
