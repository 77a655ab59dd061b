"""CASE in the environment selects the behaviour of the lifespan. Responses contain the value that the lifespan has
set."""
import asyncio
import contextvars
import os
import sys

case = os.environ.get("CASE", "plain")
# A case that ends with "later" applies only to processes that start after the test has created the file GO_ON.
if case.endswith(" later"):
    case = case[:-6] if os.path.exists(os.environ["GO_ON"]) else "plain"
variable = contextvars.ContextVar("variable", default="unset")
variable.set("import")


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


async def lifespan(scope, receive, send):
    if case == "asserts":
        assert scope["type"] == "http"
    if case == "ignores":
        return
    say(f"scope {sorted(scope)} {scope['asgi']} {scope['state']}")
    event = await receive()
    assert event == {"type": "lifespan.startup"}, event
    if case == "raises":
        raise ValueError("cannot start")
    if case == "exits":
        sys.exit("enough")
    if case == "failed":
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        return
    if case == "failed silently":
        await send({"type": "lifespan.startup.failed"})
        return
    if case == "returns":
        return
    if case == "hangs":
        say("hanging")
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.1)
            say("cleaned up")
    if case == "goes on":
        say("hanging")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            say("not cancelled")
    while case == "stays":
        say("hanging")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
    if case == "slow":
        await asyncio.sleep(0.3)
    scope["state"]["answer"] = "from the lifespan"
    variable.set("lifespan")
    await send({"type": "lifespan.startup.complete"})
    if case == "ends early":
        return
    if case == "raises after":
        raise ValueError("right after the start")
    event = await receive()
    assert event == {"type": "lifespan.shutdown"}, event
    say("shutting down")
    if case == "shutdown raises":
        raise ValueError("cannot stop")
    if case == "shutdown failed":
        await send({"type": "lifespan.shutdown.failed", "message": "lost something"})
        return
    if case == "shutdown hangs":
        await asyncio.sleep(1000)
    if case == "shutdown slow":
        await asyncio.sleep(0.3)
    await send({"type": "lifespan.shutdown.complete"})
    say("shut down")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    if scope["path"] == "/slow":
        say(f"in flight in {os.getpid()}")
        while not os.path.exists(os.environ["GO_ON"]):
            await asyncio.sleep(0.01)
    if scope["path"] == "/forever":
        say("in flight")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            say("cancelled")
            raise
    state = scope.get("state", {})
    text = f"{state.get('answer')}, {variable.get()}".encode()
    if scope["path"] == "/pid":
        text = str(os.getpid()).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(text)).encode())]}
    )
    await send({"type": "http.response.body", "body": text})
    say("answered " + scope["path"])


def exiting():
    say("atexit")


import atexit

atexit.register(exiting)
