import copy
import io
import unittest

from fapws._environ import Environ
from fapws._errors import HTTPError

URLENCODED = "application/x-www-form-urlencoded"


def environ(**keys):
    new = Environ()
    new.update({"SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "", "RAW_URI": "/", "REMOTE_ADDR": "192.0.2.1"})
    new.update({key.replace("__", "."): value for key, value in keys.items()})
    return new


def posted(body, content_type=URLENCODED, **keys):
    return environ(CONTENT_TYPE=content_type, CONTENT_LENGTH=str(len(body)), wsgi__input=io.BytesIO(body), **keys)


class Params(unittest.TestCase):
    def test_query(self):
        table = [
            ("", {}),
            ("a=1", {"a": ["1"]}),
            ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
            ("a", {"a": [""]}),
            ("a=", {"a": [""]}),
            ("=x", {"": ["x"]}),
            ("&&a=1&", {"a": ["1"]}),
            ("a=b=c", {"a": ["b=c"]}),
            ("a=1;b=2", {"a": ["1;b=2"]}),
            ("a+b=c+d", {"a b": ["c d"]}),
            ("a=%2B%26%3d", {"a": ["+&="]}),
            ("a=%C3%A9", {"a": ["é"]}),
            ("a=\xc3\xa9", {"a": ["é"]}),
            ("a=%ff", {"a": ["\ufffd"]}),
            ("a=%zz&b=%&c=%4", {"a": ["%zz"], "b": ["%"], "c": ["%4"]}),
            ("a=%  ", {"a": ["%  "]}),
            ("a=%00", {"a": ["\0"]}),
        ]
        for query, want in table:
            with self.subTest(query=query):
                self.assertEqual(environ(QUERY_STRING=query)["fapws.params"], want)

    def test_body_follows_the_query(self):
        env = posted(b"a=2&b=%41", QUERY_STRING="a=1", content_type=URLENCODED + "; charset=UTF-8")
        self.assertEqual(env["fapws.params"], {"a": ["1", "2"], "b": ["A"]})
        self.assertEqual(env["wsgi.input"].read(), b"a=2&b=%41")

    def test_body_that_was_read_already(self):
        env = posted(b"a=2")
        env["wsgi.input"].read()
        self.assertEqual(env["fapws.params"], {"a": ["2"]})

    def test_stream_without_getvalue_can_be_read_again(self):
        class Stream:
            def __init__(self, data):
                self.read = io.BytesIO(data).read

        env = posted(b"a=2")
        env["wsgi.input"] = Stream(b"a=2&beyond=1")
        self.assertEqual(env["fapws.params"], {"a": ["2"]})
        self.assertEqual(env["wsgi.input"].read(), b"a=2")

    def test_other_bodies_are_left_alone(self):
        for content_type in ["", "application/json", "multipart/form-data; boundary=x", URLENCODED + "2"]:
            with self.subTest(content_type=content_type):
                self.assertEqual(posted(b"a=2", content_type)["fapws.params"], {})

    def test_limit(self):
        class Small(Environ):
            max_params = 3

        for query, body, fits in [
            ("a&b&c", b"", True),
            ("a&b&c&", b"", True),
            ("a&b&c&d", b"", False),
            ("a&b", b"c", True),
            ("a&b", b"c&d", False),
            ("a&b&c", b"d", False),
        ]:
            with self.subTest(query=query, body=body):
                env = Small(posted(body, QUERY_STRING=query))
                if fits:
                    self.assertEqual(len(env["fapws.params"]), 3)
                else:
                    with self.assertRaises(HTTPError) as raised:
                        env["fapws.params"]
                    self.assertEqual(raised.exception.status, 413 if body else 400)

    def test_max_form(self):
        class Small(Environ):
            max_form = 9

        self.assertEqual(Small(posted(b"a=%41%41%"))["fapws.params"], {"a": ["AA%"]})
        with self.assertRaises(HTTPError) as raised:
            Small(posted(b"a=%41%41%4"))["fapws.params"]
        self.assertEqual(raised.exception.status, 413)


class Texts(unittest.TestCase):
    def test_uri(self):
        env = environ(SCRIPT_NAME="/a", PATH_INFO="/caf\xc3\xa9 b", QUERY_STRING="x=%20")
        self.assertEqual(env["fapws.uri"], "/a/café b?x=%20")
        self.assertEqual(environ(PATH_INFO="/\xff")["fapws.uri"], "/\ufffd")

    def test_raw_path(self):
        for target, want in [
            ("/", "/"),
            ("/a%20b?c=/d", "/a%20b"),
            ("//evil/x", "//evil/x"),
            ("*", "*"),
            ("http://host/a?b", "/a"),
            ("http://host?b", "/"),
            ("http://host", "/"),
            ("https://h//x", "//x"),
        ]:
            with self.subTest(target=target):
                self.assertEqual(environ(RAW_URI=target)["fapws.raw_path"], want)

    def test_raw_header(self):
        env = environ(
            REQUEST_METHOD="POST", RAW_URI="/a%20b?c", SERVER_PROTOCOL="HTTP/1.1", HTTP_HOST="h", HTTP_X_A="1,2",
            CONTENT_TYPE="text/plain", CONTENT_LENGTH="",
        )
        self.assertIn("fapws.raw_header", env)
        self.assertEqual(
            env["fapws.raw_header"], "POST /a%20b?c HTTP/1.1\r\nHost: h\r\nX-A: 1,2\r\nContent-Type: text/plain\r\n\r\n"
        )

    def test_remote_addr(self):
        self.assertEqual(environ()["fapws.remote_addr"], "192.0.2.1")
        self.assertEqual(Environ()["fapws.remote_addr"], "")


class Dict(unittest.TestCase):
    """Values that Environ computes behave like values that are stored in the dict."""

    def test_missing(self):
        env = environ()
        with self.assertRaises(KeyError) as caught:
            env["nothing"]
        self.assertEqual(caught.exception.args, ("nothing",))
        self.assertNotIn("nothing", env)
        self.assertIsNone(env.get("nothing"))
        self.assertEqual(env.get("nothing", 1), 1)

    def test_computed(self):
        for read in [
            lambda env: env["fapws.uri"],
            lambda env: env.get("fapws.uri"),
            lambda env: env.setdefault("fapws.uri", "other"),
        ]:
            env = environ(PATH_INFO="/x")
            self.assertIn("fapws.uri", env)
            self.assertNotIn("fapws.uri", list(env))
            self.assertEqual(read(env), "/x")
            self.assertIn("fapws.uri", list(env))

    def test_computed_once(self):
        env = environ(QUERY_STRING="a=1")
        self.assertIs(env["fapws.params"], env.get("fapws.params"))

    def test_stored_wins(self):
        env = environ()
        env["fapws.params"] = {"mine": ["1"]}
        self.assertEqual(env.get("fapws.params"), {"mine": ["1"]})

    def test_copies_know_the_keys(self):
        class Mine(Environ):
            pass

        env = Mine(environ(PATH_INFO="/x"))
        for new in (env.copy(), copy.copy(env)):
            self.assertIs(type(new), Mine)
            new["k"] = 1
            self.assertEqual(new["fapws.uri"], "/x")
        self.assertNotIn("k", env)
