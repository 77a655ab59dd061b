"""Tests fapws.contrib.channels.Layer in a server, with cases from the specification of channel layers.

/check/NAME runs a case in the worker that gets the request, /receive/CHANNEL and the other paths make one call.
"""
import asyncio
import json
import os
import random
import sys
import threading
import traceback
from urllib.parse import parse_qs

from django.conf import settings

settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": "fapws.contrib.channels.Layer", "CONFIG": {"name": "calls"}}})

from asgiref.sync import async_to_sync  # noqa: E402
from channels.exceptions import ChannelFull, MessageTooLarge  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from fapws.contrib.channels import Layer  # noqa: E402

# time in seconds for which the test waits for a message that must not arrive.
SOON = 0.3


async def nothing(layer, channel):
    try:
        message = await asyncio.wait_for(layer.receive(channel), SOON)
    except asyncio.TimeoutError:
        return
    raise AssertionError(message)


async def raises(kind, awaitable):
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


async def send_and_receive(layer):
    for channel in ("test.channel-1", await layer.new_channel()):
        for message in (
            {"type": "one", "text": "Ahoy-hoy! é", "bytes": b"\0\xff"},
            {"type": "two", "list": [1, 2.5, None, True, {"a": {}}]},
        ):
            await layer.send(channel, message)
            assert await layer.receive(channel) == message
        waiting = asyncio.ensure_future(layer.receive(channel))
        await asyncio.sleep(0)
        await layer.send(channel, {"type": "late"})
        assert await waiting == {"type": "late"}


async def keeps_order(layer):
    for channel in ("test.order", await layer.new_channel()):
        for n in range(50):
            await layer.send(channel, {"n": n})
        assert [(await layer.receive(channel))["n"] for _ in range(50)] == list(range(50))


async def is_full(layer):
    layer = Layer(name="full", capacity=3, channel_capacity={"small.*": 1})
    await layer.flush()
    local = await layer.new_channel("test")
    for channel, most in (("test-channel", 3), (local, 3), ("small.channel", 1)):
        for _ in range(most):
            await layer.send(channel, {"type": "x"})
        await raises(ChannelFull, layer.send(channel, {"type": "x"}))
        await layer.receive(channel)
        await layer.send(channel, {"type": "x"})
    await layer.group_add("crowd", local)
    await layer.group_send("crowd", {"type": "dropped"})
    await layer.send("behind", {})
    await layer.receive("behind")  # All earlier messages have arrived, too.
    for _ in range(3):
        assert await layer.receive(local) == {"type": "x"}
    await nothing(layer, local)


async def expires(layer):
    layer = Layer(name="expiry", expiry=SOON, group_expiry=SOON)
    await layer.flush()
    local = await layer.new_channel()
    await layer.group_add("crowd", local)
    for channel in ("test-channel", local):
        await layer.send(channel, {"type": "old"})
    await asyncio.sleep(2 * SOON)
    await layer.group_send("crowd", {"type": "to nobody"})
    for channel in ("test-channel", local):
        await nothing(layer, channel)
        await Layer(name="expiry").send(channel, {"type": "new"})
        assert await layer.receive(channel) == {"type": "new"}


async def process_local(layer):
    names = [await layer.new_channel() for _ in range(3)]
    assert len(set(names)) == 3
    random.seed(1)
    first = await layer.new_channel()
    random.seed(1)
    assert await layer.new_channel() != first
    prefix = names[0][: names[0].index("!") + 1]
    for n, name in enumerate(names):
        await layer.send(name, {"n": n})
    assert await layer.receive(names[1]) == {"n": 1}
    assert [(await layer.receive(prefix))["n"] for _ in range(2)] == [0, 2]
    waiting = asyncio.ensure_future(layer.receive(prefix))
    await asyncio.sleep(0)
    await layer.send(names[2], {"n": 3})
    assert await waiting == {"n": 3}


async def groups(layer):
    names = [await layer.new_channel("gr") for _ in range(3)] + ["normal-1"]
    for name in names + names[:1]:  # Joining a group twice is like joining it once.
        await layer.group_add("test-group", name)
    await layer.group_discard("test-group", names[1])
    await layer.group_discard("test-group", "never-there")
    await layer.group_send("test-group", {"type": "message.1"})
    await layer.group_send("other-group", {"type": "message.2"})
    for name in (names[0], names[2], names[3]):
        assert await layer.receive(name) == {"type": "message.1"}
        await nothing(layer, name)
    await nothing(layer, names[1])


async def flushes(layer):
    local = await layer.new_channel()
    await layer.send("normal", {"type": "x"})
    await layer.send(local, {"type": "x"})
    await layer.group_add("test-group", local)
    await layer.flush()
    await layer.group_send("test-group", {"type": "x"})
    await nothing(layer, "normal")
    await nothing(layer, local)


async def cancelled(layer):
    """A receive() that is cancelled removes no message."""
    for channel in ("test-cancel", await layer.new_channel()):
        for n in range(100):
            task = asyncio.ensure_future(layer.receive(channel))
            await asyncio.sleep(random.random() / 1000)
            await layer.send(channel, {"n": n})
            await asyncio.sleep(random.random() / 1000)
            task.cancel()
            try:
                got = await task
            except asyncio.CancelledError:
                got = await layer.receive(channel)
            assert got == {"n": n}, (got, n)


async def many_receivers(layer):
    tasks = [asyncio.ensure_future(layer.receive("shared")) for _ in range(20)]
    for n in range(20):
        await layer.send("shared", {"n": n})
    assert sorted(message["n"] for message in await asyncio.gather(*tasks)) == list(range(20))
    await nothing(layer, "shared")


async def from_threads(layer):
    """Each thread has its own event loop."""
    local, got = await layer.new_channel(), []
    await layer.group_add("threads", local)

    def both():
        async_to_sync(layer.group_send)("threads", {"type": "from a thread"})
        got.append(async_to_sync(layer.receive)("to-a-thread"))

    thread = threading.Thread(target=both)
    thread.start()
    assert await layer.receive(local) == {"type": "from a thread"}
    await layer.send("to-a-thread", {"type": "hello"})
    while thread.is_alive():
        await asyncio.sleep(0.01)
    assert got == [{"type": "hello"}], got


async def arguments(layer):
    assert layer.extensions == ["groups", "flush"] and layer.group_expiry == 86400 and layer.expiry == 60
    assert layer.ChannelFull is ChannelFull and layer.MessageTooLarge is MessageTooLarge
    for name in ("", "a b", "é", "a!b!c", "x" * 100, None, 1, "a\n"):
        await raises(TypeError, layer.send(name, {}))
        await raises(TypeError, layer.receive(name))
        await raises(TypeError, layer.group_add("group", name))
        await raises(TypeError, layer.group_add(name, "channel"))
        await raises(TypeError, layer.group_send(name, {}))
    await raises(TypeError, layer.group_send("a!b", {}))
    await raises(ValueError, layer.receive("not-of-this-process!local"))
    await raises(TypeError, layer.send("channel", [1]))
    await raises(TypeError, layer.send("channel", {"a": object()}))
    await raises(MessageTooLarge, layer.send("channel", {"a": "x" * (1 << 20)}))
    await raises(MessageTooLarge, layer.group_send("group", {"a": "x" * (1 << 20)}))
    large = {"a": "x" * 1000000}
    await layer.send("large", large)
    assert await layer.receive("large") == large
    message = {"list": [1]}
    await layer.send("copied", message)
    message["list"].append(2)
    assert await layer.receive("copied") == {"list": [1]}


CASES = {
    case.__name__: case
    for case in (
        send_and_receive, keeps_order, is_full, expires, process_local, groups, flushes, cancelled, many_receivers,
        from_threads, arguments,
    )
}


async def answer(path, query):
    if path == "cases":
        return list(CASES)
    if path == "pid":
        return os.getpid()
    what, _, name = path.partition("/")
    if what == "check":
        layer = Layer(name=name)
        await layer.flush()
        try:
            await CASES[name](layer)
            return "ok"
        except BaseException:
            traceback.print_exc()
            return traceback.format_exc()
    layer = get_channel_layer()
    if what == "new":
        return await layer.new_channel()
    if what == "receive":
        return await layer.receive(name)
    if what == "add":
        return await layer.group_add(name, query["channel"][0])
    if what == "send":
        return await layer.send(name, {"text": query["text"][0]})
    if what == "group":
        return await layer.group_send(name, {"text": query["text"][0]})
    return sys.exit("there is no " + path)


async def application(scope, receive, send):
    assert scope["type"] == "http"
    said = json.dumps(await answer(scope["path"][1:], parse_qs(scope["query_string"].decode())))
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": said.encode()})
