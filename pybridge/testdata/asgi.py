import asyncio
import contextvars
import json
import os
import threading

imported = contextvars.ContextVar("imported", default="not seen")
imported.set("seen")
number = contextvars.ContextVar("number", default=0)
events = []  # events of lifespans, and of requests that no test waits for
gate = None


async def lifespan(scope, receive, send):
    scope["state"]["made"] = "at startup"
    while True:
        message = await receive()
        events.append(message["type"])
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def start(send, status=200, headers=((b"content-type", b"text/plain"),)):
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def answer(send, body, **more):
    await start(send, **more)
    await send({"type": "http.response.body", "body": body if isinstance(body, bytes) else str(body).encode()})


async def read(receive):
    body, pieces, more = b"", 0, True
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        body, pieces, more = body + message["body"], pieces + 1, message["more_body"]
    return body, pieces


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    await globals()["do_" + scope["path"][1:]](scope, receive, send)


async def do_hello(scope, receive, send):
    await answer(send, b"hello")


async def do_scope(scope, receive, send):
    names = sorted(scope)
    scope["headers"].append((b"x-mine", b"1"))  # no other request may see the changes
    scope["state"]["mine"] = scope["extensions"]["mine"] = scope["asgi"]["mine"] = 1
    headers = [(name.decode(), value.decode()) for name, value in scope["headers"][:-1]]
    told = {
        name: scope[name] for name in names
        if name not in ("headers", "raw_path", "query_string", "state", "extensions", "asgi")
    }
    told.update(headers=headers, raw_path=scope["raw_path"].decode(), query_string=scope["query_string"].decode())
    told.update(
        state=len(scope["state"]), made=scope["state"]["made"], extensions=len(scope["extensions"]),
        asgi=len(scope["asgi"]),
    )
    await answer(send, json.dumps(told, sort_keys=True))


async def do_trailers(scope, receive, send):
    assert ("http.response.trailers" in scope["extensions"]) == any(name == b"te" for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "trailers": True})
    await send({"type": "http.response.body", "body": b"hello"})
    names = scope["query_string"].split(b",")
    if names == [b"large"]:
        name = b"x" * (8192 - len(": 1\r\n"))
        names = [name, name, b"y"]
    for name in names:
        try:
            await send({"type": "http.response.trailers", "headers": [(name, b"1")], "more_trailers": True})
        except ValueError:
            pass
    await send({"type": "http.response.trailers"})


async def do_tls(scope, receive, send):
    text = json.dumps(scope["extensions"].get("tls", "none"), sort_keys=True).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


async def do_context(scope, receive, send):
    number.set(number.get() + 1)
    await asyncio.sleep(0)
    task = asyncio.current_task()
    await answer(
        send,
        f"{imported.get()} {number.get()} {threading.current_thread().name} {task.get_coro().__name__}"
        f" {task in asyncio.all_tasks()}",
    )


async def do_echo(scope, receive, send):
    body, pieces = await read(receive)
    await answer(send, body, headers=[(b"x-pieces", b"%d" % pieces)])


async def do_stream(scope, receive, send):
    await start(send)
    for i in range(5):
        await send({"type": "http.response.body", "body": b"%d," % i, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body"})


async def do_flood(scope, receive, send):
    await start(send)
    for _ in range(200):
        await send({"type": "http.response.body", "body": b"x" * 20000, "more_body": True})
    await send({"type": "http.response.body"})


async def do_large(scope, receive, send):
    await answer(send, b"x" * 300000)


async def do_wait(scope, receive, send):
    await read(receive)
    events.append("waits")
    events.append((await receive())["type"])
    events.append((await receive())["type"])
    try:
        await answer(send, b"late")
    except OSError:
        events.append("OSError")
        raise


async def do_tasks(scope, receive, send):
    message = await asyncio.create_task(receive())
    lost = asyncio.create_task(receive())
    await asyncio.sleep(0)
    lost.cancel()
    await asyncio.wait({lost})
    try:
        await asyncio.wait_for(receive(), 0.01)
    except asyncio.TimeoutError:
        message["timed"] = "out"
    await asyncio.create_task(send({"type": "http.response.start", "status": 200}))
    await asyncio.gather(send({"type": "http.response.body", "body": f"{message} {lost.cancelled()}".encode()}))


async def do_raise(scope, receive, send):
    raise ValueError("boom")


async def do_raise_later(scope, receive, send):
    await start(send)
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    raise ValueError("boom later")


async def do_raise_after(scope, receive, send):
    await answer(send, b"whole")
    events.append((await receive())["type"])
    try:
        await start(send)
    except RuntimeError as error:
        events.append(str(error))
    raise ValueError("boom after")


async def do_nothing(scope, receive, send):
    pass


async def do_head_only(scope, receive, send):
    await start(send)


async def do_half(scope, receive, send):
    await start(send)
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def do_empty(scope, receive, send):
    await start(send, status=204)
    await send({"type": "http.response.body"})


async def do_short(scope, receive, send):
    await answer(send, b"abc", headers=[(b"content-length", b"10")])


async def do_long(scope, receive, send):
    await answer(send, b"abcdef", headers=[(b"content-length", b"3")])


async def do_file(scope, receive, send):
    await start(send)
    await send({"type": "http.response.pathsend", "path": __file__})


async def do_no_file(scope, receive, send):
    await start(send)
    await send({"type": "http.response.pathsend", "path": __file__ + ".not"})


async def do_cancelled(scope, receive, send):
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def do_blocks(scope, receive, send):
    os.read(int(scope["query_string"]), 1)
    await answer(send, b"released")


async def do_blocks_afterwards(scope, receive, send):
    await answer(send, b"answered")
    os.read(int(scope["query_string"]), 1)


async def do_gated(scope, receive, send):
    global gate
    gate = asyncio.get_running_loop().create_future()
    await inside(gate)
    await answer(send, b"opened")


async def inside(future):
    await future


async def do_open(scope, receive, send):
    if gate is not None and not gate.done():
        gate.set_result(None)
    await answer(send, str(gate is not None))


async def do_wrong(scope, receive, send):
    good = {"type": "http.response.start", "status": 200}
    wrong = [
        None, {}, {"type": "http.response.body"}, {"type": "http.response.trailers"}, {"type": 7},
        {"type": "http.response.start"}, dict(good, status="200"), dict(good, status=True), dict(good, status=100),
        dict(good, status=2**80), dict(good, headers=7), dict(good, headers=[b"ab"]), dict(good, headers=[(b"a",)]),
        dict(good, headers=[("a", "b")]), dict(good, headers=[(b"a", b"b\r\nc: d")]),
        dict(good, headers=[(b"a b", b"c")]), dict(good, headers=[(b"content-length", b"x")]),
    ]
    said = []
    for message in wrong:
        try:
            await send(message)
            said.append("accepted")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    await start(send)
    for message in (
        good, {"type": "http.response.body", "body": "text"}, {"type": "http.response.pathsend", "path": 7},
    ):
        try:
            await send(message)
            said.append("accepted")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    await send({"type": "http.response.body", "body": "\n".join(said).encode()})


# --- other threads ----------------------------------------------------------------


async def do_changed(scope, receive, send):
    """Another thread changes the message that is sent."""
    message = {"type": "http.response.body", "body": b"", "more_body": True}
    ended = threading.Event()

    def change():
        n = 1000
        while not ended.is_set():
            n = n % 9000 + 1000
            message["body"] = b"%d," % n
            message["type"] = "".join(["http.response", ".body"])

    other = threading.Thread(target=change)
    other.start()
    try:
        await start(send)
        for _ in range(3000):
            await send(message)
    finally:
        ended.set()
        other.join()
    await send({"type": "http.response.body"})


async def do_elsewhere(scope, receive, send):
    """Another thread sends pieces, first through this event loop, and then through its own event loop, which fails."""
    loop = asyncio.get_running_loop()

    def piece(data):
        return send({"type": "http.response.body", "body": data, "more_body": True})

    def stream():
        for _ in range(50):
            asyncio.run_coroutine_threadsafe(piece(b"x" * 20000), loop).result()
        try:
            asyncio.run(piece(b"never"))
        except RuntimeError as error:
            return str(error)

    await start(send)
    said = await loop.run_in_executor(None, stream)
    await send({"type": "http.response.body", "body": said.encode()})


# --- async handlers -------------------------------------------------------------


async def text(environ, start_response):
    await asyncio.sleep(0)
    return "text of " + environ["PATH_INFO"]


async def fields(environ, start_response):
    start_response("201 Created", [("X-A", "b")])
    return [b"one", b"two"]


async def as_json(environ, start_response):
    return {"a": 1}


async def a_file(environ, start_response):
    return open(__file__, "rb")


async def plain_generator(environ, start_response):
    return (b"%d," % i for i in range(5))


async def generator(environ, start_response):
    try:
        for i in range(5):
            yield f"{i},"
            await asyncio.sleep(0)
    finally:
        events.append("closed")


async def endless(environ, start_response):
    try:
        while True:
            yield b"x" * 20000
    finally:
        events.append("endless closed")


async def sleeper(environ, start_response):
    try:
        yield b"first"
        await asyncio.get_running_loop().create_future()
    finally:
        events.append("sleeper closed")


async def bad_piece(environ, start_response):
    try:
        yield b"begun"
        yield 7
    finally:
        events.append("bad closed")


async def fails(environ, start_response):
    await asyncio.sleep(0)
    raise ValueError("boom in a handler")


async def bad_result(environ, start_response):
    return 7


async def body(environ, start_response):
    return environ["wsgi.input"].read()


async def http_error(environ, start_response):
    from fapws import HTTPError

    raise HTTPError(418, "tea")


class Verbs:
    async def get(self, environ, start_response):
        return "got"

    def post(self, environ, start_response):
        return "posted"


class Double:
    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await answer(send, "double")


def take_events(environ, start_response):
    taken, events[:] = list(events), []
    return json.dumps(taken)


PATHS = [
    ("/text", text), ("/fields", fields), ("/json", as_json), ("/file", a_file), ("/plain_generator", plain_generator),
    ("/generator", generator), ("/endless", endless), ("/sleeper", sleeper), ("/bad_piece", bad_piece),
    ("/fails", fails), ("/bad_result", bad_result), ("/body", body), ("/http_error", http_error), ("/verbs", Verbs),
    ("/double", Double), ("/events", take_events), ("/mounted", app),
]
