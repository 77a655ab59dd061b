import asyncio
import threading

from fapws import HTTPError

closed = []


async def text(environ, start_response):
    await asyncio.sleep(0.001)
    return f"{environ['PATH_INFO']} on {threading.current_thread().name}"


async def counts(environ, start_response):
    for i in range(5):
        yield f"{i},"
        await asyncio.sleep(0.001)


async def waits(environ, start_response):
    await inner()
    return "never"


async def inner():
    await asyncio.sleep(1000)


async def listens(environ, start_response):
    try:
        yield "begun\n"
        await asyncio.sleep(1000)
    finally:
        closed.append("closed")


def plain(environ, start_response):
    return "plain, " + "".join(closed)


async def fields(environ, start_response):
    start_response("201 Created", [("X-A", "b")])
    return [b"one", b"two"]


async def as_json(environ, start_response):
    return {"a": 1}


async def file(environ, start_response):
    return open(__file__, "rb")


async def generator(environ, start_response):
    return (b"%d," % i for i in range(5))


async def http_error(environ, start_response):
    raise HTTPError(418, "tea")


async def fails(environ, start_response):
    raise ValueError("boom")


async def bad_result(environ, start_response):
    return 7


async def bad_piece(environ, start_response):
    yield "begun"
    yield 7


class Verbs:
    async def get(self, environ, start_response):
        return "got"

    async def post(self, environ, start_response):
        return environ["wsgi.input"].read()


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": f"{scope['root_path']} {scope['path']}".encode()})


PATHS = [
    ("/text", text), ("/counts", counts), ("/waits", waits), ("/listens", listens), ("/plain", plain), ("/app", app),
    ("/fields", fields), ("/json", as_json), ("/file", file), ("/generator", generator), ("/http_error", http_error),
    ("/fails", fails), ("/bad_result", bad_result), ("/bad_piece", bad_piece), ("/verbs", Verbs),
]
