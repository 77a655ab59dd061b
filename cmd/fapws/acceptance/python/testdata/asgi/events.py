"""Sends the events that a request lists, and records the result of each send().

POST /<name> with a list of messages as Python literals sends them in turn;
GET /outcome/<name> then answers with the errors, one for each message, and
GET /extensions with the extensions of ASGI.
"""
import json

outcomes = {}


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
    names = {"bytearray": bytearray, "memoryview": memoryview, "iter": iter, "object": object}
    messages = eval(await body_of(receive), names)
    said = outcomes[path[1:]] = []
    for message in messages:
        try:
            result = await send(message)
            said.append("" if result is None else "not None")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
            if scope["query_string"] == b"raise":
                raise
