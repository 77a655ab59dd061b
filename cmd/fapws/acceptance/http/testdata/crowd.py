"""Handlers for many simultaneous clients, which record the order of the clients."""
import hashlib
import os
import threading
import time

lock = threading.Lock()
order = []
here = most = 0
eight = threading.Barrier(8)


def wait(environ, start_response):
    time.sleep(1)
    return str(os.getpid())


def together(environ, start_response):
    eight.wait(120)
    return str(os.getpid())


def everywhere(environ, start_response):
    """Waits until three workers run this handler, or until a timeout. The workers create files in a directory."""
    yield b"begun, "
    folder, late = environ["QUERY_STRING"], time.monotonic() + 5
    open(f"{folder}/{os.getpid()}", "w").close()
    while len(os.listdir(folder)) < 3:
        if time.monotonic() > late:
            open(f"{folder}/late", "w").close()
        time.sleep(0.005)
    yield b"ended"


def whole(environ, start_response):
    return list(everywhere(environ, start_response))


def enter(environ, start_response):
    global here, most
    with lock:
        here += 1
        most = max(most, here)
        order.append(environ["QUERY_STRING"])
    time.sleep(0.02)
    with lock:
        here -= 1
    return "entered"


def seen(environ, start_response):
    return f"{most} {','.join(order)}"


def body(environ, start_response):
    data = environ["wsgi.input"].read()
    return f"{environ['REQUEST_METHOD']} {len(data)} {hashlib.sha256(data).hexdigest()}"


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]


PATHS = [
    ("/wait", wait), ("/together", together), ("/everywhere", everywhere), ("/whole", whole), ("/enter", enter),
    ("/seen", seen), ("/body", body), ("/hello", hello),
]
