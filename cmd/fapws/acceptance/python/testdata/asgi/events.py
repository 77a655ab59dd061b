"""Sends the events that a request lists, and records the result of each send().

POST /<name> with a list of messages in Python, which may use the names below, sends them in turn;
GET /outcome/<name> then answers with the errors, one for each message, and
GET /extensions with the extensions of ASGI.
"""
import json

outcomes = {}
START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body"}
TRAILERS = {"type": "http.response.trailers"}
NAMES = {
    "bytearray": bytearray,
    "memoryview": memoryview,
    "iter": iter,
    "START": START,
    "BODY": BODY,
    "TRAILERS": TRAILERS,
    "start": {**START, "headers": [(b"content-type", b"text/plain")]},
    "status": lambda status: {**START, "status": status},
    "headers": lambda headers: {**START, "headers": headers},
    "hello": {**BODY, "body": b"hello"},
    "body": lambda body, **keys: {**BODY, "body": body, **keys},
    "more": lambda body: {**BODY, "body": body, "more_body": True},
    "announce": {**START, "trailers": True},
    "trailers": lambda headers, **keys: {**TRAILERS, "headers": headers, **keys},
    "end": {**TRAILERS, "headers": [(b"X-Sum", b"1")]},
}


async def body_of(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def app(scope, receive, send):
    assert scope["type"] == "http"
    path = scope["path"]
    if path.startswith("/outcome/"):
        text = json.dumps(outcomes.get(path[9:])).encode()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(text)).encode())]}
        )
        await send({"type": "http.response.body", "body": text})
        return
    if path == "/extensions":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": " ".join(scope["extensions"]).encode()})
        return
    messages = eval(await body_of(receive), dict(NAMES))
    said = outcomes[path[1:]] = []
    for message in messages:
        try:
            result = await send(message)
            said.append("" if result is None else "not None")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
            if scope["query_string"] == b"raise":
                raise
