"""Current frameworks: streams that wait or produce, with background tasks, dependencies and exception handlers.
/NAME/KIND is a stream of the framework NAME. /noted/NAME/KIND returns the recorded events of this stream, which are
also printed."""
import asyncio
import gc
import json

import fastapi
import litestar
import quart
import sse_starlette
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import StreamingHttpResponse
from django.urls import path
from litestar.background_tasks import BackgroundTask as LitestarTask
from litestar.response import ServerSentEvent, Stream
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

PAUSES = {"waits": 3600, "events": 3600, "produces": 0.001, "spins": 0}
notes = {}


def note(key, what):
    notes.setdefault(key, []).append(what)
    print(key, what, flush=True)


async def stream(key):
    note(key, "began")
    try:
        while True:
            yield b"data: line\n\n"
            await asyncio.sleep(PAUSES[key.split("/")[1]])
    finally:
        note(key, "ended")


def media_type(kind):
    return "text/event-stream" if kind == "events" else "text/plain"


async def answer(key, **more):
    return StreamingResponse(
        stream(key), media_type=media_type(key.split("/")[1]), background=BackgroundTask(note, key, "background")
    )


async def failed(request, error):
    note(request.url.path[1:], "handler got " + type(error).__name__)
    return JSONResponse({}, 500)


async def by_starlette(request):
    if request.path_params["kind"] != "late":
        return await answer(request.url.path[1:])
    note("starlette/late", "began")
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    note("starlette/late", "ended")
    await asyncio.create_task(JSONResponse({})(request.scope, request.receive, request._send))
    return await answer("starlette/late")


def starlette(name, middleware=()):
    return Starlette(
        routes=[Route("/" + name + "/{kind}", by_starlette)], exception_handlers={Exception: failed},
        middleware=middleware,
    )


async def through(request, call_next):
    return await call_next(request)


by_fastapi = fastapi.FastAPI(exception_handlers={Exception: failed})


async def dependency(kind: str):
    try:
        yield
        note("fastapi/" + kind, "dependency")
    except BaseException as error:
        note("fastapi/" + kind, "dependency got " + type(error).__name__)
        raise


@by_fastapi.get("/fastapi/{kind}")
async def fast(kind: str, depends=fastapi.Depends(dependency)):
    return await answer("fastapi/" + kind)


@by_fastapi.get("/sse/{kind}")
async def events(kind: str):
    return sse_starlette.EventSourceResponse(
        stream("sse/" + kind), background=BackgroundTask(note, "sse/" + kind, "background")
    )


@litestar.get("/litestar/{kind:str}")
async def by_litestar(kind: str) -> Stream:
    key = "litestar/" + kind
    if kind == "events":
        return ServerSentEvent(stream(key), background=LitestarTask(note, key, "background"))
    return Stream(stream(key), background=LitestarTask(note, key, "background"))


by_quart = quart.Quart("today")


@by_quart.get("/quart/<kind>")
async def quart_stream(kind):
    response = await quart.make_response(stream("quart/" + kind))
    response.timeout = None
    response.content_type = media_type(kind)
    return response


async def django_stream(request, kind):
    return StreamingHttpResponse(stream("django/" + kind), content_type=media_type(kind))


class Urls:
    urlpatterns = [path("django/<kind>", django_stream)]


settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=Urls)


async def noted(scope, receive, send):
    gc.collect()  # some frameworks leave the generator of a stream to the garbage collector
    body = json.dumps(notes.get(scope["path"][len("/noted/"):], [])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


applications = {
    "starlette": starlette("starlette"),
    "middleware": starlette("middleware", [Middleware(BaseHTTPMiddleware, dispatch=through)] * 2),
    "fastapi": by_fastapi,
    "sse": by_fastapi,
    "litestar": litestar.Litestar([by_litestar]),
    "quart": by_quart,
    "django": get_asgi_application(),
    "noted": noted,
}


async def app(scope, receive, send):
    if scope["type"] == "http":
        await applications[scope["path"].split("/")[1]](scope, receive, send)
