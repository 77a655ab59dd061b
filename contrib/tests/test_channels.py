import asyncio
import contextlib
import io
import json
import types
import unittest
from unittest import mock

import fapws
from fapws import _channels, groups
from fapws._channels import Client, channel, subscribers, on_join, on_leave, publish


class Native:
    """Replaces the functions of the executable, with room for a number of events."""

    def __init__(self, room=1000, full=False):
        self.events, self.room, self.full, self.watched = [], room, full, 0

    def channel_publish(self, *event):
        for text in event:
            text.encode()
        if len(self.events) >= self.room:
            return self.full
        self.events.append(event)
        return True

    def channel_answer(self, *args):
        return args

    def channel_subscribers(self, name):
        return len(name)

    def channel_watch(self):
        self.watched += 1


class Served(unittest.TestCase):
    def serve(self, **keys):
        native = Native(**keys)
        for name, value in {
            "_publish": native.channel_publish, "_native": lambda function: native, "_joining": [], "_leaving": [],
        }.items():
            patch = mock.patch.object(_channels, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        return native


class Publish(Served):
    def test_data(self):
        native = self.serve()
        for data, want in [
            ("text\nin lines", "text\nin lines"),
            ("", ""),
            (b"\xc3\xa9", "é"),
            (bytearray(b"a"), "a"),
            (memoryview(b"a"), "a"),
            ({"é": [1, None, 2.5]}, '{"é":[1,null,2.5]}'),
            (None, "null"),
            (7, "7"),
            (True, "true"),
        ]:
            with self.subTest(data=data):
                publish("a", data)
                self.assertEqual(native.events.pop(), ("a", "", "", want))

    def test_words(self):
        native = self.serve()
        publish("a", "b", "kind", "id 1")
        publish("a" * 128, "b", event="é" * 128, id=-5)
        self.assertEqual(native.events, [("a", "id 1", "kind", "b"), ("a" * 128, "-5", "é" * 128, "b")])

    def test_refused(self):
        self.serve()
        recursive = []
        recursive.append(recursive)
        for error, args in [
            (TypeError, (b"a", "b")),
            (ValueError, ("a\n", "b")),
            (ValueError, ("é", "b")),
            (ValueError, (".a", "b")),
            (ValueError, ("a,b", "c")),
            (ValueError, ("a", b"\xff")),
            (ValueError, ("a", "\udcff")),
            (TypeError, ("a", object())),
            (TypeError, ("a", {(1, 2): 3})),
            (ValueError, ("a", recursive)),
            (ValueError, ("a", "b", " c")),
            (ValueError, ("a", "b", "c" * 129)),
            (TypeError, ("a", "b", 1)),
            (ValueError, ("a", "b", None, "c ")),
            (TypeError, ("a", "b", None, True)),
            (TypeError, ("a", "b", None, b"c")),
        ]:
            with self.subTest(args=str(args)[:80]):
                with self.assertRaises(error) as caught:
                    publish(*args)
                self.assertNotIn("\n", str(caught.exception))
                self.assertIn("publish: ", str(caught.exception))

    def test_behind(self):
        native = self.serve(room=1)
        publish("a", "1")
        sleeps = []

        def sleep(seconds):
            sleeps.append(seconds)
            if len(sleeps) == 3:
                native.events.clear()

        with mock.patch("time.sleep", sleep):
            publish("a", "2")
        self.assertEqual((native.events, len(sleeps)), ([("a", "", "", "2")], 3))
        with mock.patch("time.sleep", sleep), mock.patch.object(_channels, "_PATIENCE", 0):
            self.assertRaisesRegex(RuntimeError, "publish: queue full", publish, "a", "3")

    def test_behind_where_nobody_may_wait(self):
        self.serve(room=0, full=None)
        with mock.patch("time.sleep", self.fail):
            self.assertRaisesRegex(RuntimeError, "publish: queue full", publish, "a", "1")
        self.serve(room=0)

        async def task():
            publish("a", "1")

        with mock.patch("time.sleep", self.fail):
            self.assertRaisesRegex(RuntimeError, "publish: queue full", asyncio.run, task())


class Channel(Served):
    def test_answer(self):
        self.serve()
        self.assertEqual(channel("a"), ("a", b"", ()))
        self.assertEqual(channel("a", "b", "a"), ("a, b", b"", ()))
        for start, want in [
            ("data: é", "data: é\n\n".encode()),
            (b"data: a\n\n", b"data: a\n\n"),
            (bytearray(b": a\r\n\r\n"), b": a\r\n\r\n"),
            (memoryview(b": a\n"), b": a\n\n\n"),
        ]:
            self.assertEqual(channel("a", start=start)[1], want)
        for headers in ({"X": "1"}, [("X", "1")], (["X", "1"],), iter([("X", "1")])):
            self.assertEqual(channel("a", headers=headers)[2], (("X", "1"),))

    def test_refused(self):
        self.serve()
        for error, args, keys in [
            (TypeError, (), {}),
            (TypeError, ("a",) * 17, {}),
            (TypeError, (["a"],), {}),
            (ValueError, ("a, b",), {}),
            (TypeError, ("a",), {"start": 1}),
            (TypeError, ("a",), {"headers": 1}),
            (TypeError, ("a",), {"headers": ["ab", "c"]}),
            (TypeError, ("a",), {"headers": {b"a": "b"}}),
        ]:
            with self.subTest(args=args, keys=keys), self.assertRaises(error):
                channel(*args, **keys)

    def test_subscribers(self):
        self.serve()
        self.assertEqual(subscribers("abc"), 3)
        self.assertRaises(TypeError, subscribers, None)


class Callbacks(Served):
    def told(self, *names, left=False):
        client = {"number": 7, "address": "192.0.2.1", "user": "", "last": "x"}
        _channels._noticed(json.dumps([dict(client, name=name, left=left) for name in names]).encode())

    def test_patterns(self):
        native = self.serve()
        calls = []
        for pattern in ("room/*", "*", "*/b", "a.c"):
            on_join(pattern)(lambda name, client, pattern=pattern: calls.append((pattern, name)))
        self.told("room/a", "room/b", "a.c", "abc")
        self.assertEqual(
            calls,
            [
                ("room/*", "room/a"), ("*", "room/a"), ("room/*", "room/b"), ("*", "room/b"), ("*/b", "room/b"),
                ("*", "a.c"), ("a.c", "a.c"), ("*", "abc"),
            ],
        )
        self.assertEqual(native.watched, 4)

    def test_client(self):
        self.serve()
        joined, left = [], []

        @on_join("a")
        def join(name, client):
            joined.append(client)

        @on_leave("a")
        def leave(name, client):
            left.append(client)

        self.told("a")
        self.told("a", left=True)
        self.assertEqual(joined, left)
        self.assertEqual(len({*joined, *left}), 1)
        client = joined[0]
        self.assertEqual(
            (client.number, client.address, client.user, client.last_event_id), (7, "192.0.2.1", None, "x")
        )
        self.assertNotEqual(client, Client(8, "192.0.2.1", None, "x"))
        self.assertEqual(repr(client), "<Client 7 192.0.2.1>")

    def test_errors(self):
        self.serve()
        calls = []

        @on_join("*")
        def fails(name, client):
            raise SystemExit("no")

        on_join("*")(lambda name, client: calls.append(name))
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.told("a", "b")
        self.assertEqual(calls, ["a", "b"])
        self.assertEqual(
            said.getvalue().count("fapws: error in on_join Callbacks.test_errors.<locals>.fails, channel a\nTraceback"),
            1,
        )

    def test_async_without_a_loop(self):
        self.serve()

        @on_join("a")
        async def coroutine(name, client):
            self.fail("there is nobody to run it")

        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.told("a")
        self.assertIn("it is async (async def), but no async application or handler is loaded", said.getvalue())

    def test_refused(self):
        self.serve()

        for pattern, function in [("", print), (" ", print), ("a b", print), (1, print), ("a", 1)]:
            with self.subTest(pattern=pattern, function=function), self.assertRaises((TypeError, ValueError)):
                on_leave(pattern)(function)
        self.assertEqual(_channels._leaving, [])


class Elsewhere(unittest.TestCase):
    """Tests a process without the executable."""

    def test_refused(self):
        for function in (lambda: publish("a", "b"), lambda: channel("a"), lambda: subscribers("a")):
            self.assertRaisesRegex(
                RuntimeError, "^(publish|channel|subscribers): this process does not run under fapws", function
            )

    def test_groups_are_refused(self):
        """As with the TestClient of Starlette, which calls the application without a server."""
        for function in (lambda: groups.join({"type": "websocket"}, "a"), lambda: groups.leave({"type": "websocket"}, "a"),
                         lambda: groups.send("a", "b"), lambda: groups.count("a")):
            self.assertRaisesRegex(
                RuntimeError, "^groups.(join|leave|send|count): this process does not run under fapws: .* in a test with "
                "fapws.testing.serve$", function
            )

    def test_callbacks_are_kept(self):
        with mock.patch.object(_channels, "_joining", []):
            self.assertIs(on_join("a")(print), print)

    def test_lazy(self):
        for name in ("channel", "publish", "subscribers", "on_join", "on_leave"):
            self.assertIsInstance(getattr(fapws, name), types.FunctionType)


if __name__ == "__main__":
    unittest.main()
