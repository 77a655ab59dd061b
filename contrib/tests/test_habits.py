"""Tests the parts of Gzip, Log and Session that need no server."""
import datetime
import pickle
import sys
import tempfile
import types
import unittest
import zlib
from unittest import mock


class Start_response:
    """Replaces the start_response of the executable."""

    def __init__(self):
        self.status_code, self.response_headers = 200, []

    def __call__(self, status, response_headers, exc_info=None):
        self.status_code = int(status[:3])
        self.response_headers = self.response_headers + list(response_headers)

    def add_header(self, name, value):
        self.response_headers = self.response_headers + [(name, value)]


def load():
    base = types.ModuleType("fapws.base")
    base.Start_response = Start_response
    with mock.patch.dict(sys.modules, {"fapws.base": base}):
        for name in ("_recorder", "zip", "log", "sessions"):
            sys.modules.pop("fapws.contrib." + name, None)
        from fapws.contrib import log, sessions, zip

        return zip, log, sessions


zip_, log, sessions = load()


class Accepts(unittest.TestCase):
    def test_fields(self):
        for value, want in [
            ("", False), ("gzip", True), ("GZIP", True), ("br, gzip;q=0.1", True), ("gzip;q=0", False),
            ("gzip; q=0.0, *", False), ("*", True), ("*;q=0", False), ("x-gzip", True), ("identity", False),
            ("gzip;q=x", False), ("gzipped", False),
        ]:
            with self.subTest(value=value):
                self.assertIs(zip_._accepts(value), want)


class Gzip(unittest.TestCase):
    def test_pieces_leave_at_once(self):
        """The compressed bytes of a piece can be read before the next piece is made (PEP 3333)."""
        made = []

        def handler(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            for i in range(3):
                made.append(i)
                yield f"piece {i} "

        environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT_ENCODING": "gzip"}
        unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
        result = iter(zip_.Gzip()(handler)(environ, Start_response()))
        for i in range(3):
            self.assertEqual(unpack.decompress(next(result)), b"piece %d " % i)
            self.assertEqual(made, list(range(i + 1)))
        self.assertEqual(unpack.decompress(b"".join(result)), b"")
        self.assertTrue(unpack.eof)

    def test_level(self):
        for level in (0, 10):
            with self.assertRaises(ValueError):
                zip_.Gzip(level)


class Quoted(unittest.TestCase):
    def test_text(self):
        for text, want in [
            ("plain", "plain"), ('a"b', 'a\\"b'), ("a\\b", "a\\\\b"), ("a\nb\x1b", "a\\x0ab\\x1b"), ("\xe4", "\\xe4"),
        ]:
            with self.subTest(text=text):
                self.assertEqual(log._quoted(text), want)


class Session(unittest.TestCase):
    def test_pickle_and_prepare(self):
        row = {"expiration_date": datetime.datetime.now() + datetime.timedelta(hours=1)}
        session = sessions.Session(row, prepare_data=lambda data: data + b"", dumps=pickle.dumps, loads=pickle.loads)
        self.assertIsNone(session.getdata())
        session.setdata({1, 2})
        self.assertEqual(session.getdata(), {1, 2})

    def test_wrong_date(self):
        with self.assertRaises(ValueError):
            sessions.Session({"expiration_date": 5, "strdata": "{}"}).getdata()

    def test_identifiers_differ(self):
        self.assertNotEqual(sessions.Session({}).getid(), sessions.Session({}).getid())

    def test_old_ones_are_found_by_an_index(self):
        """Each request that stores a session also removes expired sessions. There may be many sessions, so SQLite must
        use an index."""
        with tempfile.TemporaryDirectory() as folder:
            plan = sessions.Sessions(folder + "/db")._do("EXPLAIN QUERY PLAN DELETE FROM session WHERE expires <= ?", 0)
        self.assertIn("session_expires", plan[-1])


if __name__ == "__main__":
    unittest.main()
