"""Calls receive() in several states of a request, alone and at the same time as send()."""
import asyncio
import json

notes = {}


def note(path, value):
    notes.setdefault(path, []).append(value)


async def answer(send, value, status=200):
    text = json.dumps(value).encode()
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-length", str(len(text)).encode())]}
    )
    await send({"type": "http.response.body", "body": text})


def sketch(event):
    out = {"type": event["type"]}
    if "body" in event:
        out.update(body=event["body"].decode(), more=event["more_body"])
    return out


async def all_of(receive):
    events = []
    while not events or events[-1].get("more"):
        events.append(sketch(await receive()))
    return events


async def twice(scope, receive, send):
    """After the body, receive() waits until the response is complete or the client has disconnected."""
    events = await all_of(receive)
    extra = asyncio.create_task(receive())
    await asyncio.sleep(0.05)
    early = extra.done()
    await answer(send, {"events": events, "early": early})
    note(scope["path"], [sketch(await extra), sketch(await receive()), sketch(await receive())])


async def waits(scope, receive, send):
    """The client disconnects before the application has sent anything."""
    await all_of(receive)
    note(scope["path"], "waits")
    note(scope["path"], sketch(await receive()))
    try:
        await send({"type": "http.response.start", "status": 200})
        note(scope["path"], "sent")
    except OSError as error:
        note(scope["path"], type(error).__mro__[-4].__name__)
    note(scope["path"], sketch(await receive()))


async def streams(scope, receive, send):
    """The client disconnects during the response. The server cancels nothing."""
    gone = asyncio.create_task(receive_gone(receive))
    await send({"type": "http.response.start", "status": 200})
    try:
        while True:
            await send({"type": "http.response.body", "body": b"tick\n", "more_body": True})
            await asyncio.sleep(0.01)
    except OSError:
        note(scope["path"], "OSError")
    note(scope["path"], sketch(await gone))
    await asyncio.sleep(0.05)
    note(scope["path"], "goes on")


async def receive_gone(receive):
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return event


async def leaves(scope, receive, send):
    """The client has received the whole response and disconnects. The application has not ended the response yet."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello", "more_body": True})
    await receive_gone(receive)
    await send({"type": "http.response.body", "body": b""})
    note(scope["path"], "no error")


async def half(scope, receive, send):
    """The client disconnects before it has sent the whole body."""
    events = []
    while True:
        event = await receive()
        events.append(event["type"])
        if event["type"] == "http.disconnect":
            break
        note(scope["path"], "began")
    note(scope["path"], events[-1])


async def duplex(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"begin\n", "more_body": True})
    more = True
    while more:
        event = await receive()
        more = event["more_body"]
        await send({"type": "http.response.body", "body": event["body"], "more_body": more})


async def together(scope, receive, send):
    """Calls receive() and send() at the same time, in two tasks."""
    queue = asyncio.Queue()

    async def reader():
        while True:
            event = await receive()
            await queue.put(event)
            if not event["more_body"]:
                return

    async def writer():
        await send({"type": "http.response.start", "status": 200})
        more = True
        while more:
            event = await queue.get()
            more = event["more_body"]
            await send({"type": "http.response.body", "body": event["body"].upper(), "more_body": more})

    await asyncio.gather(reader(), writer())


async def early(scope, receive, send):
    """Answers before the body has arrived, and never reads it."""
    await answer(send, "early", 403)


async def ignored(scope, receive, send):
    await answer(send, "ignored")


async def cancelled(scope, receive, send):
    """Cancels a task that waits in receive(). No event may be lost."""
    waiting = asyncio.create_task(receive())
    await asyncio.sleep(0)
    waiting.cancel()
    try:
        first = sketch(await waiting)
    except asyncio.CancelledError:
        first = None
    events = [] if first is None else [first]
    while not events or events[-1]["more"]:
        try:
            events.append(sketch(await asyncio.wait_for(receive(), 0.02)))
        except asyncio.TimeoutError:
            note(scope["path"], "timeout")
    await answer(send, "".join(event["body"] for event in events))


def outcome(result):
    return type(result).__name__ if isinstance(result, BaseException) else sketch(result)


async def shared(scope, receive, send):
    """Awaits one result of receive() in several tasks. Only the first task gets the event, the others get an error."""
    await receive()
    event = receive()

    async def awaits():
        return await event

    first = asyncio.create_task(awaits() if scope["path"].endswith("coroutine") else event)
    await asyncio.sleep(0)
    others = [
        asyncio.create_task(awaits()), asyncio.create_task(event), asyncio.create_task(event),
        asyncio.create_task(awaits()),
    ]
    await asyncio.sleep(0)
    cancelled = asyncio.create_task(event)
    cancelled.cancel()
    others = await asyncio.gather(*others, cancelled, return_exceptions=True)
    note(scope["path"], "waits")
    events = [await first]
    after = await asyncio.gather(awaits(), return_exceptions=True)
    while events[-1]["more_body"]:
        events.append(await receive())
    await answer(
        send,
        {
            "others": [outcome(one) for one in others], "got": [outcome(one) for one in events],
            "after": outcome(after[0]),
        },
    )


async def several(scope, receive, send):
    """Calls receive() in several tasks. Each event goes to one task. Cancelling a task loses no event."""
    await receive()
    got = []

    async def takes(name):
        event = await receive()
        got.append([name, event["body"].decode()])

    tasks = [asyncio.create_task(takes(name)) for name in "abcde"]
    a, b, c, d, e = tasks
    await asyncio.sleep(0)
    b.cancel()
    note(scope["path"], "a waits")
    await a
    note(scope["path"], "c waits")
    while not c._fut_waiter.done():  # The task has an event, but has not run yet.
        await asyncio.sleep(0)
    c.cancel()
    await d
    note(scope["path"], "e waits")
    await e
    await answer(send, {"got": got, "cancelled": [task.cancelled() for task in tasks]})


async def noted(scope, receive, send):
    await answer(send, notes.get(scope["path"][6:], []))


async def app(scope, receive, send):
    assert scope["type"] == "http", scope["type"]
    name = scope["path"].split("/")[1]
    await globals()[name](scope, receive, send)
