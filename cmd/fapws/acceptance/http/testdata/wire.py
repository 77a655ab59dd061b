"""A handler for each kind of response, for tests that compare bytes."""
import asyncio
import threading
import time

ended = []
go = threading.Event()


def echo(environ, start_response):
    body = environ["wsgi.input"].read().decode()
    ended.append(environ["QUERY_STRING"])
    return body


def later(environ, start_response):
    """Answers a safe request so late that the next request on the connection ends first."""
    time.sleep(0.05)
    ended.append(environ["QUERY_STRING"])
    return "later " + environ["QUERY_STRING"]


def stuck(environ, start_response):
    go.wait(20)
    return "stuck"


def broken(environ, start_response):
    yield b"half"
    raise ValueError("on purpose")


async def early(scope, receive, send):
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


async def begins(scope, receive, send):
    """Begins its response before it reads the body, and ends the response after the body."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    while (event := await receive())["type"] == "http.request" and event["more_body"]:
        pass
    await send({"type": "http.response.body", "body": b"ended"})


async def patient(scope, receive, send):
    await asyncio.sleep(float(scope["query_string"]))
    size, more = 0, True
    while more:
        event = await receive()
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(size).encode()})


PATHS = [
    ("/echo", echo),
    ("/later", later),
    ("/stuck", stuck),
    ("/broken", broken),
    ("/early", early),
    ("/begins", begins),
    ("/patient", patient),
    ("/ended", lambda e, s: " ".join(ended)),
    ("/go", lambda e, s: go.set() or "gone"),
    ("/say", lambda e, s: e["REQUEST_METHOD"] + " " + e["QUERY_STRING"]),
]
