"""WebSockets of ASGI 3. The handler of each path sends its events in a different order."""
import asyncio
import json

notes = []


def note(*what):
    notes.append(" ".join(map(str, what)))
    print(*what, flush=True)


def text(headers):
    return [[name.decode(), value.decode()] for name, value in headers]


async def tries(send, *messages):
    """Sends messages, and records each success or exception."""
    for message in messages:
        try:
            await send(message)
            note("sent", message)
        except Exception as error:
            note(type(error).__name__)


async def echo(scope, receive, send):
    assert await receive() == {"type": "websocket.connect"}
    await send({
        "type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[-1],
        "headers": [(b"X-Said", b"yes")],
    })
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            note("disconnect", message["code"], message["reason"])
            assert await receive() == message  # further calls return the same message
            return
        if message.get("text") == "scope":
            shown = {key: value for key, value in scope.items() if isinstance(value, (str, list, dict, type(None)))}
            shown.update(
                headers=text(scope["headers"]), client=scope["client"][0], raw=scope["raw_path"].decode(),
                query=scope["query_string"].decode(),
            )
            await send({"type": "websocket.send", "text": json.dumps(shown)})
        else:
            await send({"type": "websocket.send", **{key: message.get(key) for key in ("text", "bytes")}})


async def closes(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "last words"})
    await send({"type": "websocket.close", "code": 4321, "reason": "é" * 100})
    note((await receive())["code"])
    await tries(
        send, {"type": "websocket.send", "text": "too late"}, {"type": "websocket.close"}, {"type": "websocket.accept"}
    )


async def returns(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})


async def raises(scope, receive, send):
    await receive()
    if scope["query_string"] != b"early":
        await send({"type": "websocket.accept"})
    raise RuntimeError("the application fails")


async def silent(scope, receive, send):
    await receive()


async def denies(scope, receive, send):
    await receive()
    await send({"type": "websocket.close", "code": 4000})
    note((await receive())["type"])
    await tries(send, {"type": "websocket.accept"})


async def explains(scope, receive, send):
    assert "websocket.http.response" in scope["extensions"]
    await receive()
    await send({
        "type": "websocket.http.response.start", "status": 451,
        "headers": [(b"content-type", b"text/plain"), (b"x-law", b"1")],
    })
    await tries(send, {"type": "websocket.accept"})
    await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"here"})
    await tries(send, {"type": "websocket.http.response.body", "body": b"more"})


async def wrong(scope, receive, send):
    await tries(
        send, {"type": "websocket.send", "text": "before accept"}, {"type": "websocket.http.response.body"}, {},
        {"type": "http.response.start"}, {"type": "websocket.accept", "subprotocol": 1},
        {"type": "websocket.accept", "headers": [("str", "str")]},
        {"type": "websocket.accept", "headers": [(b"Sec-WebSocket-Protocol", b"x")]},
        {"type": "websocket.accept", "headers": [(b"x", b"a\r\nb: c")]},
    )
    await receive()
    await send({"type": "websocket.accept"})
    await tries(
        send, {"type": "websocket.accept"}, {"type": "websocket.send"}, {"type": "websocket.send", "text": b"x"},
        {"type": "websocket.send", "bytes": "x"}, {"type": "websocket.send", "text": "x", "bytes": b"x"},
        {"type": "websocket.send", "text": "\ud800"}, {"type": "websocket.close", "code": 1006},
        {"type": "websocket.close", "code": "x"}, {"type": "websocket.http.response.start", "status": 200},
    )
    await send({"type": "websocket.send", "bytes": bytearray(b"still here")})
    await receive()


async def accepts(scope, receive, send):
    """Accepts the WebSocket with the subprotocol or the header field in the query."""
    await receive()
    what, _, name = scope["query_string"].partition(b"=")
    given = {"subprotocol": name.decode()} if what == b"subprotocol" else {"headers": [(name, b"x")]}
    await send({"type": "websocket.accept", **given})


async def pours(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    sent = 0
    try:
        while True:
            await send({"type": "websocket.send", "bytes": b"x" * 65536})
            sent += 1
    except OSError:
        note("pouring:", "at once" if sent < 400 else sent)
        raise


async def waits(scope, receive, send):
    """Gets the disconnect event while it waits for something else."""
    await receive()
    await send({"type": "websocket.accept"})
    left = asyncio.ensure_future(receive())
    done, _ = await asyncio.wait([left], timeout=120)
    note("told:", left.result()["code"] if done else "nothing")


async def sleeps(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(1)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": str(len(message["bytes"]))})


async def several(scope, receive, send):
    """Reads and writes in two tasks; a cancelled receive() loses no message."""
    await receive()
    await send({"type": "websocket.accept"})

    async def ticks():
        for i in range(3):
            await send({"type": "websocket.send", "text": f"tick {i}"})
            await asyncio.sleep(0)

    ticking = asyncio.ensure_future(ticks())
    message = None
    for _ in range(3):
        try:
            message = message or await asyncio.wait_for(receive(), 0.01)
        except asyncio.TimeoutError:
            pass  # No message has arrived in time.
    await ticking
    message = message or await receive()
    await send({"type": "websocket.send", "text": "heard " + message["text"]})


HANDLERS = {
    "/echo": echo, "/closes": closes, "/returns": returns, "/raises": raises, "/silent": silent, "/denies": denies,
    "/explains": explains, "/wrong": wrong, "/accepts": accepts, "/pours": pours, "/waits": waits, "/sleeps": sleeps,
    "/several": several,
}


live = 0


async def application(scope, receive, send):
    global live
    if scope["type"] == "websocket":
        live += 1
        try:
            await HANDLERS["/" + scope["path"].split("/")[1]](scope, receive, send)
        finally:
            live -= 1
    elif scope["type"] == "http":
        with open("/proc/self/status") as status:
            memory = next(line.split()[1] for line in status if line.startswith("RssAnon"))
        body = "\n".join(notes) if scope["path"] == "/noted" else f"{live} {memory}"
        if scope["path"] == "/noted":
            notes.clear()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body.encode()})
