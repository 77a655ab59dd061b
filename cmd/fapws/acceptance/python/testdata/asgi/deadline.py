import asyncio
import sys


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


async def deep():
    await deeper()


async def deeper():
    await asyncio.sleep(1000)


async def app(scope, receive, send):
    assert scope["type"] == "http"
    path = scope["path"]
    try:
        if path == "/hangs":
            await deep()
        elif path == "/begun":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            await deep()
        elif path == "/receives":
            while (await receive())["type"] != "http.disconnect":
                pass
            say("disconnected")
    except asyncio.CancelledError:
        say("cancelled " + path)
        raise
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
