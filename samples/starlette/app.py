"""Starlette: routes, JSON, a stream, a WebSocket and a lifespan.

./build.sh run samples/starlette/app.py      then open http://127.0.0.1:8888/

    curl http://127.0.0.1:8888/notes
    curl -X POST -H 'Content-Type: application/json' -d '{"text": "Buy milk"}' http://127.0.0.1:8888/notes
    curl -N http://127.0.0.1:8888/countdown?from=5
"""
import asyncio
import contextlib
import time

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<title>Starlette</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2rem}</style>
<h1>Starlette</h1>
<p><a href=notes>notes</a>, <a href=countdown>a countdown</a>
<p><input id=text placeholder='to the WebSocket'> <output id=echo></output>
<script>
const url = new URL("echo", location)
url.protocol = url.protocol.replace("http", "ws")
const socket = new WebSocket(url)
socket.onmessage = event => document.getElementById("echo").textContent = event.data
document.getElementById("text").oninput = event => socket.send(event.target.value)
</script>"""


async def index(request):
    return HTMLResponse(PAGE)


async def notes(request):
    app = request.app.state
    if request.method == "POST":
        try:
            note = str((await request.json())["text"])[:1000]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise HTTPException(400, 'a "text" is needed')
        app.notes = app.notes[-99:] + [note]
        return JSONResponse({"number": len(app.notes), "text": note}, status_code=201)
    return JSONResponse({"notes": app.notes, "up": round(time.monotonic() - app.started, 1)})


async def countdown(request):
    """/countdown?from=10: a line per second. When the client disconnects, the generator ends."""
    try:
        start = min(3600, int(request.query_params.get("from", "10")))
    except ValueError:
        raise HTTPException(400, "from is not a number")

    async def lines():
        try:
            for number in range(start, 0, -1):
                yield f"{number}\n"
                await asyncio.sleep(1)
            yield "Lift-off\n"
        finally:
            print("countdown: over", flush=True)

    return StreamingResponse(lines(), media_type="text/plain")


async def echo(websocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect as left:
        print(f"echo: over, {left.code}", flush=True)


async def fails(request):
    raise RuntimeError("this view always fails")  # a traceback in the log, a 500 for the client


@contextlib.asynccontextmanager
async def lifespan(app):
    """The code before yield runs before the first request; the code after yield runs after the last."""
    app.state.notes, app.state.started = [], time.monotonic()
    print("lifespan: started", flush=True)
    yield
    print("lifespan: over", flush=True)


application = Starlette(lifespan=lifespan, routes=[
    Route("/", index),
    Route("/notes", notes, methods=["GET", "POST"]),
    Route("/countdown", countdown),
    Route("/fails", fails),
    WebSocketRoute("/echo", echo),
])
