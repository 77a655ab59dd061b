"""Tests fapws._websocket and fapws._detachedsocket without a server."""
import contextlib
import io
import socket
import unittest
from unittest import mock

from fapws import HTTPError, WebSocket, _websocket, broadcast
from fapws._detachedsocket import offer
from fapws._websocket import refusal


def environ(origin=None, host="example.org", **more):
    found = {"HTTP_HOST": host, "SCRIPT_NAME": "/ws", **more}
    if origin is not None:
        found["HTTP_ORIGIN"] = origin
    return found


class Origins(unittest.TestCase):
    def admitted(self, origin, host="example.org", origins=None):
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                WebSocket(origins=origins)._admit(environ(origin, host))
            except HTTPError as error:
                self.assertEqual(error.status, 403)
                return False
        return True

    def test_own_host(self):
        for origin, host in (
            (None, "example.org"),
            ("http://example.org", "example.org"),
            ("https://example.org", "example.org"),
            ("https://example.org", "example.org:443"),
            ("http://example.org", "example.org:80"),
            ("http://EXAMPLE.org", "Example.ORG"),
            ("http://example.org.", "example.org"),
            ("http://192.0.2.1:8080", "192.0.2.1:8080"),
            ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080"),
        ):
            self.assertTrue(self.admitted(origin, host), (origin, host))

    def test_others(self):
        for origin, host in (
            ("", "example.org"),
            ("null", "example.org"),
            ("http://", ""),
            ("file://", "example.org"),
            ("example.org", "example.org"),
            ("//example.org", "example.org"),
            ("http://example.org:81", "example.org"),
            ("http://example.org", "example.org:81"),
            ("http://www.example.org", "example.org"),
            ("http://example.org.evil.example", "example.org"),
            ("http://evil.example/example.org", "example.org"),
            ("http://example.org@evil.example", "example.org"),
            ("http://user@example.org", "example.org"),
            ("http://example.org:99999", "example.org:99999"),
            ("http://example.org:x", "example.org"),
            ("http://[::1", "[::1"),
            ("http://example.org/", "example.org"),
            ("http://example.org, http://evil.example", "example.org"),
            ("\xff\x00", "example.org"),
        ):
            self.assertFalse(self.admitted(origin, host), (origin, host))

    def test_given(self):
        given = ["https://app.example", "https://*.example.net", "http://dev.example:3000", "null"]
        for origin in (
            "https://app.example", "https://app.example:443", "https://a.b.example.net", "http://dev.example:3000",
            "null", "http://example.org",
        ):
            self.assertTrue(self.admitted(origin, origins=given), origin)
        for origin in (
            "http://app.example", "https://example.net", "https://badexample.net", "http://dev.example",
            "https://*.example.net.evil.example",
        ):
            self.assertFalse(self.admitted(origin, origins=given), origin)
        for origin in ("https://evil.example", "null", "anything"):
            self.assertTrue(self.admitted(origin, origins="*"), origin)

    def test_is_told_once(self):
        entry = WebSocket()
        with contextlib.redirect_stderr(io.StringIO()) as said:
            for _ in range(3):
                with self.assertRaises(HTTPError):
                    entry._admit(environ("https://evil.example\n\x1b[2J"))
        self.assertEqual(said.getvalue().count("\n"), 1)
        self.assertNotIn("\x1b", said.getvalue())
        self.assertIn("origins=", said.getvalue())


class Arguments(unittest.TestCase):
    def test_subprotocols(self):
        entry = WebSocket(subprotocols=["v2", "v1"])
        for offered, agreed in (("v1, v2", "v2"), ("v1", "v1"), (" v1 ,v3", "v1"), ("V1", None), ("", None)):
            self.assertEqual(entry._admit(environ(HTTP_SEC_WEBSOCKET_PROTOCOL=offered)), agreed)
        self.assertIsNone(entry._admit(environ()))
        self.assertIsNone(WebSocket()._admit(environ(HTTP_SEC_WEBSOCKET_PROTOCOL="v1")))

    def test_wrong(self):
        async def coroutine(ws):
            pass

        class Async:
            async def __call__(self, ws):
                pass

        class Method(WebSocket):
            async def on_message(self, ws, message):
                pass

        for make, error, text in (
            (lambda: WebSocket(1), TypeError, "on_open"),
            (lambda: WebSocket(on_close="x"), TypeError, "on_close"),
            (lambda: WebSocket(on_resume=1), TypeError, "on_resume"),
            (lambda: WebSocket(on_message=coroutine), TypeError, "on_message is async"),
            (lambda: WebSocket(on_message=Async()), TypeError, "on_message is async"),
            (Method, TypeError, "on_message is async"),
            (lambda: WebSocket(subprotocols="v1"), TypeError, "subprotocols"),
            (lambda: WebSocket(subprotocols=[1]), TypeError, "subprotocol"),
            (lambda: WebSocket(subprotocols=["a b"]), ValueError, "a b"),
            (lambda: WebSocket(subprotocols=[""]), ValueError, "subprotocol"),
            (lambda: WebSocket(origins=["example.org"]), ValueError, "example.org"),
            (lambda: WebSocket(origins=["https://example.org/path"]), ValueError, "path"),
            (lambda: WebSocket(origins=[1]), TypeError, "origin"),
        ):
            with self.assertRaises(error) as caught:
                make()
            self.assertIn(text, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_names(self):
        def heard(ws, message):
            pass

        entry = WebSocket(on_message=heard)
        self.assertIn("heard", entry.__qualname__)
        self.assertEqual(entry.__module__, __name__)

    def test_refusal(self):
        self.assertEqual(refusal().status, 403)
        self.assertEqual(refusal(401, "who?", {"WWW-Authenticate": "Basic"}).headers, [("WWW-Authenticate", "Basic")])
        with self.assertRaises(ValueError):
            refusal(101)

    def test_plain_request(self):
        seen = []
        body = WebSocket()({}, lambda status, headers: seen.append((status, dict(headers))))
        self.assertTrue(seen[0][0].startswith("426 "))
        self.assertIn(b"WebSocket", b"".join(body))


class Broadcast(unittest.TestCase):
    """Checks with which arguments broadcast calls the functions of the executable. Acceptance tests check that clients
    get the messages."""

    def setUp(self):
        self.native = mock.Mock(
            **{"broadcast_all.return_value": True, "websocket_count.return_value": 3, "broadcast.return_value": 2}
        )
        patch = mock.patch.object(_websocket, "_native", self.native)
        patch.start()
        self.addCleanup(patch.stop)
        self.entry = WebSocket()

    def test_to_whom(self):
        self.assertEqual(broadcast(self.entry, "x"), 3)
        self.assertEqual(broadcast(self.entry, b"y", "den"), 3)
        self.assertEqual(broadcast([1, 2], "z"), 2)
        self.assertEqual(self.native.mock_calls, [
            mock.call.broadcast_all(self.entry, "x", None), mock.call.websocket_count(self.entry, None),
            mock.call.broadcast_all(self.entry, b"y", "den"), mock.call.websocket_count(self.entry, "den"),
            mock.call.broadcast([1, 2], "z"),
        ])
        self.assertRaises(TypeError, broadcast, [], "x", "den")

    def test_behind(self):
        self.native.broadcast_all.side_effect = [False, False, True]
        with mock.patch("time.sleep"):
            self.assertEqual(broadcast(self.entry, "x"), 3)
        self.native.broadcast_all.side_effect = [None]
        self.assertRaisesRegex(RuntimeError, "^broadcast: queue full", broadcast, self.entry, "x")

    def test_elsewhere(self):
        with mock.patch.object(_websocket, "_native", None):
            self.assertRaises(RuntimeError, broadcast, self.entry, "x")


class RawSocket(unittest.TestCase):
    def setUp(self):
        self.near, far = socket.socketpair()
        self.addCleanup(self.near.close)
        far.setblocking(False)  # non-blocking, like a socket of the server
        self.found = {}
        self.made = offer(self.found, far.detach())
        self.addCleanup(self.made.close)

    def test_unused(self):
        self.assertIs(self.found["werkzeug.socket"], self.made)
        self.assertIsInstance(self.made, socket.socket)
        self.assertNotIn("raddr", repr(self.made))
        self.assertFalse(self.made.end())
        self.assertEqual(self.near.recv(1), b"")

    def test_use(self):
        self.made.sendall(b"hello")
        self.assertTrue(self.made.used)
        self.assertEqual(self.near.recv(5), b"hello")
        self.near.settimeout(120)
        self.near.sendall(b"back")
        self.assertEqual(self.made.recv(100), b"back")
        file = self.made.makefile("rb")
        self.assertTrue(self.made.end())
        self.assertEqual(self.near.recv(1), b"")
        self.assertRaises((OSError, ValueError), file.read, 1)

    def test_every_use_counts(self):
        for name in ("fileno", "makefile", "dup", "detach"):
            near, far = socket.socketpair()
            made = offer({}, far.detach())
            result = getattr(made, name)()
            self.assertTrue(made.used, name)
            if name == "detach":
                socket.close(result)
            made.end()
            if hasattr(result, "close"):
                result.close()
            near.close()


if __name__ == "__main__":
    unittest.main()
