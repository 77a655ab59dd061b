"""Tests fapws._arguments, which finds out whether a callable accepts the arguments of the server."""
import functools
import unittest

from fapws._arguments import misfit


def two(environ, start_response): ...
def three(environ, start_response, db): ...
def one(environ): ...
def none(): ...
def more(environ, start_response, db=None, *, debug=False): ...
def several(*args): ...
def everything(*args, **kw): ...
def keyword(environ, start_response, *, db): ...
def first(db, environ, start_response): ...


@functools.wraps(one)
def adds(environ, start_response): ...


@functools.wraps(three)
def passes(*args, **kw): ...


class Calls:
    def __call__(self, environ, start_response): ...
    def method(self, environ, start_response): ...
    def short(self, environ): ...
    def selfless(): ...

    @classmethod
    def of_class(cls, environ, start_response): ...

    @staticmethod
    def static(environ, start_response): ...


class CallsOne:
    def __call__(self, environ): ...


class Made:
    def __init__(self, environ, start_response): ...


class MadeOne:
    def __init__(self, environ): ...


class New:
    def __new__(cls, environ): ...


class Sends(Calls):
    def __init__(self, first=None, second=None): ...


class SendsAsync:
    def __init__(self, config): ...
    async def __call__(self, scope, receive, send): ...


class Body(Calls):
    def __init__(self, environ, start_response): ...
    def __iter__(self): ...


class Meta(type):
    def __call__(cls, *args): ...


class OfMeta(metaclass=Meta):
    def __init__(self): ...


class Forwards:
    """Forwards attributes to another object, like the proxies of wrapt and werkzeug."""

    __slots__ = ()
    __call__ = functools.partialmethod(two)

    def __getattr__(self, name):
        return getattr(one, name)


class TestMisfit(unittest.TestCase):
    def test_fits(self):
        partial = functools.partial
        for called in (
            two, more, several, everything, adds, passes, Calls(), Calls().method, Calls.of_class, Calls().static, Made,
            Body, OfMeta, print, dict, lambda *a: a, partial(first, 1), partial(three, db=1), partial(partial(three), db=2),
            partial(keyword, db=1), partial(Calls()), functools.lru_cache(two), Forwards(), max, super,
        ):
            with self.subTest(called=called):
                self.assertEqual(misfit(called, "environ", "start_response"), "")

    def test_misfits(self):
        partial = functools.partial
        for called, problem in (
            (one, "takes 1 argument;"),
            (none, "takes no arguments;"),
            (three, "also needs db;"),
            (keyword, "also needs db;"),
            (lambda: 1, "takes no arguments;"),
            (Calls().short, "takes 1 argument;"),
            (Calls().selfless, "takes no arguments;"),
            (CallsOne(), "takes 1 argument;"),
            (MadeOne, "takes 1 argument;"),
            (New, "takes 1 argument;"),
            (partial(two, 1), "takes 1 argument;"),
            (partial(two, environ=1), "has its argument environ already;"),
            (partial(three, 1, 2), "takes 1 argument;"),
            (Calls, "Calls takes no arguments;"),
            (Sends, "Sends is a class whose objects are applications;"),
            (SendsAsync, "serve an object of the class, SendsAsync('CONFIG')"),
            (len, "too many positional arguments;"),
        ):
            with self.subTest(called=called):
                said = misfit(called, "environ", "start_response")
                self.assertIn(problem, said)
                self.assertIn("it is called with 2: (environ, start_response)", said)

    def test_place(self):
        line = one.__code__.co_firstlineno
        self.assertEqual(
            misfit(one, "a", "b"), f"one ({__file__}, line {line}) takes 1 argument; it is called with 2: (a, b)"
        )
        self.assertIn("an object of CallsOne (", misfit(CallsOne(), "a", "b"))

    def test_three(self):
        self.assertEqual(misfit(three, "scope", "receive", "send"), "")
        self.assertIn("takes 2 arguments", misfit(two, "scope", "receive", "send"))


if __name__ == "__main__":
    unittest.main()
