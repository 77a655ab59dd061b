"""Tests fapws._kinds, which finds out whether a callable is WSGI, ASGI or an async handler."""
import unittest
from functools import partial

from fapws._kinds import kind_of


def wsgi(environ, start_response): ...
def wsgi_more(environ, start_response, db): ...
async def handler(environ, start_response): ...
async def asgi(scope, receive, send): ...
def double(scope): ...
def double_more(scope, **options): ...
def other_name(s): ...
async def awaited(scope): ...
def any_arguments(*args): ...


class Double:
    def __init__(self, scope): ...
    async def __call__(self, receive, send): ...


class DoubleMore:
    def __init__(self, scope, **options): ...
    def __call__(self, receive, send): ...


class Inherits(DoubleMore):
    pass


class Makes:
    def __call__(self, scope): ...


class WSGI:
    def __init__(self, environ, start_response): ...
    def __iter__(self): ...


class TestKinds(unittest.TestCase):
    def test_single(self):
        for entry, kind in (
            (wsgi, "wsgi"), (wsgi_more, "wsgi"), (WSGI, "wsgi"), (any_arguments, "wsgi"), (handler, "handler"),
            (asgi, "asgi"), (partial(asgi), "asgi"),
        ):
            with self.subTest(entry=entry):
                self.assertEqual(kind_of(entry), (kind, entry))

    def test_asgi_2_is_adapted(self):
        for entry in (double, double_more, Double, DoubleMore, Inherits, Makes(), partial(double)):
            for interface in ("auto", "asgi"):
                with self.subTest(entry=entry, interface=interface):
                    kind, called = kind_of(entry, interface)
                    self.assertEqual(kind, "asgi")
                    self.assertEqual(called.__code__.co_varnames[:3], ("scope", "receive", "send"))

    def test_name_of_the_argument_matters_only_without_an_interface(self):
        self.assertEqual(kind_of(other_name), ("wsgi", other_name))
        self.assertNotEqual(kind_of(other_name, "asgi"), ("asgi", other_name))
        self.assertEqual(kind_of(awaited, "asgi"), ("asgi", awaited))


if __name__ == "__main__":
    unittest.main()
