import json
import pathlib
import unittest

from fapws.contrib.views import Staticfile


def options(*args, **keys):
    return json.loads(Staticfile(*args, **keys)._fapws_static)


class Options(unittest.TestCase):
    def test_defaults(self):
        self.assertEqual(
            options("./static/"),
            {
                "root": "./static/", "index": ["index.html"], "listing": False, "max_age": -1, "dotfiles": False,
                "spa": "", "expires": [], "mime_types": "", "types": {}, "charset": "utf-8", "compress": True,
                "symlinks": "inside", "expose": [], "headers": {},
            },
        )

    def test_given(self):
        for option, got, want in [
            ("root", options(pathlib.Path("/srv")), "/srv"),
            ("max_age", options("x", 60), 60),
            ("max_age", options("x", maxage=60), 60),
            ("max_age", options("x", max_age=0), 0),
            ("index", options("x", index=True), ["index.html"]),
            ("index", options("x", index=None), []),
            ("index", options("x", index=False), []),
            ("index", options("x", index="a.html"), ["a.html"]),
            ("index", options("x", index=("a", "b")), ["a", "b"]),
            ("listing", options("x", listing=True), True),
            ("dotfiles", options("x", dotfiles=True), True),
            ("spa", options("x", spa="index.html"), "index.html"),
            ("expires", options("x", expires=("*.css=30d",)), ["*.css=30d"]),
            ("mime_types", options("x", mime_types=pathlib.Path("/etc/mime.types")), "/etc/mime.types"),
            ("types", options("x", types={"wat": "text/plain"}), {"wat": "text/plain"}),
            ("charset", options("x", charset=None), "off"),
            ("charset", options("x", charset="iso-8859-1"), "iso-8859-1"),
            ("compress", options("x", compress=False), False),
            ("symlinks", options("x", symlinks="owner"), "owner"),
            ("headers", options("x", headers={"X-A": "b"}), {"X-A": "b"}),
        ]:
            with self.subTest(option=option, want=want):
                self.assertEqual(got[option], want)

    def test_refused(self):
        for error, args, keys in [
            (TypeError, (), {}),
            (TypeError, (None,), {}),
            (TypeError, (b"x",), {}),
            (TypeError, (3,), {}),
            (ValueError, ("",), {}),
            (ValueError, ("a\0b",), {}),
            (TypeError, ("x", "60"), {}),
            (TypeError, ("x", True), {}),
            (TypeError, ("x", 1.5), {}),
            (ValueError, ("x", -1), {}),
            (ValueError, ("x", 2**31), {}),
            (TypeError, ("x", 1), {"max_age": 1}),
            (ValueError, ("x",), {"index": "a/b"}),
            (ValueError, ("x",), {"index": ".."}),
            (ValueError, ("x",), {"index": ""}),
            (TypeError, ("x",), {"index": 1}),
            (TypeError, ("x",), {"index": ["a", 1]}),
            (TypeError, ("x",), {"listing": 1}),
            (TypeError, ("x",), {"dotfiles": "no"}),
            (TypeError, ("x",), {"spa": 1}),
            (ValueError, ("x",), {"spa": ""}),
            (TypeError, ("x",), {"expires": "*=1d"}),
            (TypeError, ("x",), {"expires": [1]}),
            (TypeError, ("x",), {"types": ["a"]}),
            (TypeError, ("x",), {"types": {"a": 1}}),
            (TypeError, ("x",), {"charset": 1}),
            (TypeError, ("x",), {"compress": 1}),
            (ValueError, ("x",), {"symlinks": "yes"}),
            (TypeError, ("x",), {"headers": {1: "a"}}),
        ]:
            with self.subTest(args=args, keys=keys), self.assertRaises(error):
                Staticfile(*args, **keys)


class Subclass(unittest.TestCase):
    def test_own_call_is_not_bypassed(self):
        class Guarded(Staticfile):
            def __call__(self, environ, start_response):
                return "no"

        self.assertFalse(hasattr(Guarded("x"), "_fapws_static"))

    def test_without_own_call_it_is_native(self):
        class Named(Staticfile):
            pass

        self.assertTrue(hasattr(Named("x"), "_fapws_static"))
