import asyncio
import os
import threading

from fapws import channel, publish


def sync(environ, start_response):
    publish("news", environ["QUERY_STRING"])
    return str(os.getpid())


def in_thread(environ, start_response):
    thread = threading.Thread(target=publish, args=("news", environ["QUERY_STRING"]))
    thread.start()
    thread.join()
    return str(os.getpid())


def pieces(environ, start_response):
    yield str(os.getpid())
    publish("news", environ["QUERY_STRING"])


async def coroutine(environ, start_response):
    publish("news", environ["QUERY_STRING"])
    return str(os.getpid())


async def asgi(scope, receive, send):
    async def child():
        publish("news", scope["query_string"].decode())

    await asyncio.create_task(child())
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


PATHS = [
    ("/news", channel("news")),
    ("/sync", sync),
    ("/thread", in_thread),
    ("/pieces", pieces),
    ("/coroutine", coroutine),
    ("/asgi", asgi),
]
