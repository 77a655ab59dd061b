import html
import re
import sys
import unittest
from html.parser import HTMLParser

from fapws._brief import MASK, Brief
from fapws._debugpage import page

COOKIE = "sid=c00k1e-value; theme=dark"
ENVIRON = {
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/x?<i>",
    "PATH_INFO": "/x",
    "HTTP_COOKIE": COOKIE,
    "HTTP_AUTHORIZATION": "Basic cGFzc3dvcmQ=",
    "HTTP_USER_AGENT": "<script>alert(1)</script>",
    "wsgi.version": (1, 0),
}


def page_of(function, environ=ENVIRON):
    try:
        function()
    except BaseException:
        return page(*sys.exc_info(), environ, "app.handler")[1].decode("utf-8")
    raise AssertionError("did not raise")


class Tags(HTMLParser):
    """Collects the tags that a browser would parse."""

    def __init__(self, text):
        super().__init__()
        self.seen = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("src", "href"):
                raise AssertionError(f"<{tag} {name}={value}>")


def fail(*args, **locals_of_the_frame):
    raise ValueError(*args)


class Nasty:
    def __init__(self, error):
        self.error = error

    def __repr__(self):
        raise self.error


# The source of a module that is compiled without a file. The debug page shows the lines around each call.
HANDLER = """
def handler(environ):
    sid = 'c00k1e-value'
    password = 'hunter2'
    header = [('Set-Cookie', sid)]
    body = {'api_key': 'k3yk3y', 'text': 'cGFzc3dvcmQ='}
    raise ValueError('no such session: ' + sid)
"""
SECRETS = ["c00k1e-value", "hunter2", "k3yk3y", "cGFzc3dvcmQ="]


class Page(unittest.TestCase):
    def test_what_it_shows(self):
        text = page_of(lambda: fail("the <message>"))
        for want in [
            "ValueError",
            "the &lt;message&gt;",
            "app.handler",
            "GET /x?&lt;i&gt;",
            "test_debugpage.py",
            "page_of(lambda: <mark>fail(" if sys.version_info >= (3, 11) else "page_of(lambda: fail(",
            "PATH_INFO",
            "Traceback (most recent call last)",
        ]:
            with self.subTest(want):
                self.assertIn(want, text)
        self.assertLess(text.index("in <b>fail</b>"), text.index("in <b>&lt;lambda&gt;</b>"))

    def test_other_clients_get_the_traceback(self):
        names = {}
        exec(compile(HANDLER, "<handler>", "exec"), names)
        environ = dict(ENVIRON, HTTP_ACCEPT="*/*", **{"fapws.request_id": "5m7t3ghp"})
        try:
            names["handler"](environ)
        except ValueError:
            headers, body = page(*sys.exc_info(), environ, "app.handler")
        self.assertEqual(headers, [("Content-Type", "text/plain; charset=utf-8")])
        text = body.decode()
        self.assertTrue(text.startswith("Traceback (most recent call last):\n"), text)
        self.assertIn(f"\nValueError: no such session: {MASK}\n\nRequest 5m7t3ghp, ", text)

    def test_everything_is_escaped(self):
        class Evil:
            def __repr__(self):
                return "<img src=x onerror=alert(1)>"

        evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
        text = page_of(lambda: fail(evil, evil=evil, object=Evil(), nested={evil: [evil]}))
        self.assertNotIn("img", Tags(text).seen)
        own = page_of(lambda: fail("harmless")).count("<script")  # the button that copies the traceback
        self.assertEqual(text.count("<script"), own)
        code = compile("1/0", "<script>.py", "exec")
        self.assertEqual(page_of(lambda: exec(code)).count("<script"), own)

    def test_secrets(self):
        names = {}
        exec(compile(HANDLER, "<handler>", "exec"), names)
        text = page_of(lambda: names["handler"](dict(ENVIRON)))
        self.assertIn("<td>password<td>" + MASK, text)
        for secret in SECRETS:
            with self.subTest(secret):
                self.assertNotIn(secret, html.unescape(text))
        self.assertIn("no such session: " + MASK, html.unescape(text))

    def test_definition_of_a_handler_with_a_wrong_result(self):
        def handler(environ, start_response):
            start_response("200 OK", [
                ("A", "1"),
                ("B", "2"),
                ("C", "3"),
                ("D", "4"),
            ])
            print("the last line of the function")

        text = page(TypeError, TypeError("wrong"), None, ENVIRON, "app.handler", handler)[1].decode()
        line = handler.__code__.co_firstlineno
        self.assertIn(f"test_debugpage.py:{line}</code> defines <b>handler</b>", text)
        self.assertIn(f'<span class="hot"><i>{line}</i>        def handler(environ, start_response):</span>', text)
        self.assertIn("the last line of the function", text)

    def test_long_values_of_environ_are_shortened(self):
        text = page_of(fail, dict(ENVIRON, LONG="x" * 500))
        self.assertIn("<td>LONG<td>" + "x" * 199 + "…", text)

    def test_chain(self):
        def cause():
            try:
                fail("first")
            except ValueError as error:
                raise KeyError("second") from error

        def context():
            try:
                fail("first")
            except ValueError:
                raise KeyError("second")

        def hidden():
            try:
                fail("first")
            except ValueError:
                raise KeyError("second") from None

        for function, link in [
            (cause, "Caused by ValueError"), (context, "Raised while handling ValueError"), (hidden, None),
        ]:
            with self.subTest(function.__name__):
                text = page_of(function)
                self.assertIn("<h1>KeyError", text)
                found = re.search(r"<h2>(\w[^<]*ValueError)", text)
                self.assertEqual(found and found.group(1), link)

    def test_circle_of_causes_ends(self):
        def circle():
            first, second = ValueError("first"), ValueError("second")
            first.__cause__, second.__cause__ = second, first
            raise first

        self.assertEqual(page_of(circle).count("<h2>Caused by"), 1)

    def test_bounded(self):
        def recursion(n):
            return recursion(n + 1)

        def huge():
            values = [list(range(10**5)), "x" * 10**6, {n: n for n in range(10**5)}, b"y" * 10**6, 1 << 10**5]
            values.append(values)
            raise ValueError("z" * 10**6)

        for function in [lambda: recursion(0), huge]:
            with self.subTest(function=function):
                self.assertLess(len(page_of(function)), 120_000)

    def test_nothing_makes_it_fail(self):
        class NoText(Exception):
            def __str__(self):
                raise SystemExit

        class NoKeys(dict):
            def items(self):
                raise RuntimeError

        def no_text():
            raise NoText

        def surrogates():
            raise ValueError("\udcff", Nasty(RecursionError()))

        for function in [no_text, surrogates, lambda: fail(1, bad=Nasty(KeyboardInterrupt())), lambda: exec("1/0")]:
            for environ in [ENVIRON, {}, NoKeys(a=1)]:
                with self.subTest(function=function, environ=environ):
                    self.assertIn("<h1>", page_of(function, environ))
        # The exception object may be None, as when C code raises an exception.
        self.assertIn(b"MemoryError", page(MemoryError, None, None, {}, "app")[1])


class Values(unittest.TestCase):
    def test_texts(self):
        brief = Brief(ENVIRON)
        circle = []
        circle.append(circle)
        for value, want in [
            (None, "None"),
            ("a'b", '"a\'b"'),
            (b"x", "b'x'"),
            ((1,), "(1,)"),
            ([], "[]"),
            ({1}, "{1}"),
            (frozenset([1]), "frozenset({1})"),
            ({"a": [1, {"b": 2}]}, "{'a': [1, {'b': 2}]}"),
            (list(range(99)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …]"),
            (circle, "[[[[…]]]]"),
            ({"Cookie": "x", "n": 1}, "{'Cookie': '%s', 'n': 1}" % MASK),
            ([{"user": {"password": "x"}}], "[{'user': {'password': '%s'}}]" % MASK),
            (Nasty(SystemExit()), "<Nasty: no repr, SystemExit>"),
            (1 << 5000, "<int of 5001 bits>"),
        ]:
            with self.subTest(want):
                self.assertEqual(brief.value(value), want)

    def test_secret_at_the_cut(self):
        text = Brief({"HTTP_COOKIE": "id=0123456789abcdef"}).value("x" * 192 + "0123456789abcdef")
        self.assertNotIn("0123", text)
        self.assertLessEqual(len(text), 200)
