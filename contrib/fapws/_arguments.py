"""Determines, without a call, whether a callable accepts the arguments that the server passes, and where it is
defined."""
from __future__ import annotations

from types import BuiltinFunctionType, FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, FrozenSet, List, Optional, Tuple

__all__ = ["definition", "functions", "misfit", "takes_nothing", "wrong_result"]

_VARARGS = 0x04  # inspect.CO_VARARGS
_DEPTH = 16  # maximum depth of nested wrappers


def misfit(called: Any, *names: str) -> str:
    """Returns why the object ``called`` does not accept len(names) positional arguments, or "" if it does.

    Python functions are judged by their own code, also within bound methods, functools.partial, classes and objects
    with ``__call__``. A decorator may copy the signature of the function that it wraps. This copy is ignored, because
    the server calls the decorator's own function, which may have different parameters. Built-in functions are judged by
    inspect.signature. All other objects count as callable, because they may accept any arguments.
    """
    call = f"it is called with {len(names)}: ({', '.join(names)})"
    if isinstance(called, type) and (takes_nothing(called) or _makes_applications(called)):
        from fapws._load import required

        problem = "takes no arguments" if takes_nothing(called) else "is a class whose objects are applications"
        made = f"{_name(called)}({', '.join(required(called))})"
        return f"{_name(called)} {problem}; {call}; serve an object of the class, {made}"
    for function, given, keywords in functions(called):
        problem = _judge(function, given, keywords, len(names))
        if problem:
            at = _where(function)
            code, missing = getattr(function, "__code__", None), ""
            if code and code.co_varnames[given : code.co_argcount] == names[:-1]:
                missing = f"; {names[-1]} is missing"
            return f"{_name(called)}{at} {problem}; {call}{missing}"
    return ""


def definition(application: Any) -> Optional[CodeType]:
    """Returns the code of the innermost function that handles a call of a WSGI application, or None. Functions that wrap
    the application do not count."""
    from fapws._framework import chain

    for app in reversed(chain(application)):
        while hasattr(app, "__wrapped__"):
            app = app.__wrapped__
        for function, given, _ in functions(app):
            code: Optional[CodeType] = getattr(function, "__code__", None)
            if code and code.co_argcount - given == 2:
                return code
    return None


def wrong_result(application: Any, name: str, result: Any) -> str:
    """Returns a line about a result that is not a response."""
    code = definition(application)
    place = f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""
    shown = "None, as a function without return does" if result is None else f"{result!r:.200}"
    return (
        f"handler {name}{place} returned {shown}; it must return str, bytes, a list or tuple of them, an iterable, a"
        " file or a dict"
    )


def takes_nothing(cls: Any) -> bool:
    """Whether a class is called without arguments, because it has no constructor of its own."""
    return cls.__init__ is object.__init__ and cls.__new__ is object.__new__ and type(cls).__call__ is type.__call__


def _makes_applications(cls: Any) -> bool:
    """Whether the objects of a class are WSGI or ASGI applications, and not the iterable body of a WSGI response."""
    if type(cls).__call__ is not type.__call__ or hasattr(cls, "__iter__"):
        return False
    call = cls.__call__
    return isinstance(call, FunctionType) and not all(_judge(call, 1, frozenset(), count) for count in (2, 3))


def functions(called: Any) -> List[Tuple[Any, int, FrozenSet[str]]]:
    """Returns the functions that run in a call of the object ``called``, and for each function the number of positional
    arguments and the names of keyword arguments that are already bound."""
    given, keywords = 0, frozenset()  # type: Tuple[int, FrozenSet[str]]
    for _ in range(_DEPTH):
        if isinstance(called, (FunctionType, BuiltinFunctionType)):
            return [(called, given, keywords)]
        if isinstance(called, MethodType):
            called, given = called.__func__, given + 1
        elif _is_partial(called):
            called, given, keywords = called.func, given + len(called.args), keywords | frozenset(called.keywords)
        elif isinstance(called, type):
            if type(called).__call__ is not type.__call__:
                return []  # A metaclass with its own __call__ determines which arguments a class accepts.
            makers = (called.__new__, called.__init__)
            return [(maker, given + 1, keywords) for maker in makers if isinstance(maker, FunctionType)]
        elif isinstance(getattr(type(called), "__call__", None), FunctionType):
            called, given = type(called).__call__, given + 1
        else:
            return []
    return []


def _is_partial(called: Any) -> bool:
    kind = type(called)
    return kind.__module__ == "functools" and kind.__name__ == "partial"


def _judge(function: Any, given: int, keywords: FrozenSet[str], wanted: int) -> str:
    """Returns why a function cannot be called with ``wanted`` positional arguments after its bound arguments, or "" if
    the function can be called with them."""
    if isinstance(function, BuiltinFunctionType):
        return _judge_builtin(function, given, wanted)
    code = function.__code__
    count = code.co_argcount
    optional = count - len(function.__defaults__ or ())
    last = given + wanted
    taken = set(code.co_varnames[given:last]) & keywords
    if taken:
        return f"has its argument {', '.join(sorted(taken))} already"
    if last > count and not code.co_flags & _VARARGS:
        most = max(count - given, 0)
        return f"takes {'no' if most == 0 else most} argument{'s' * (most != 1)}"
    known = function.__kwdefaults__ or {}
    needed = [name for name in code.co_varnames[last:optional] if name not in keywords]
    only = code.co_varnames[count : count + code.co_kwonlyargcount]
    needed += [name for name in only if name not in keywords and name not in known]
    return f"also needs {', '.join(needed)}" if needed else ""


def _judge_builtin(function: Any, given: int, wanted: int) -> str:
    import inspect

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # Most callables of this kind have no readable signature.
        return ""
    try:
        signature.bind(*[None] * (given + wanted))
    except TypeError as error:
        return f"does not fit: {error}"
    return ""


def _name(called: Any) -> str:
    return str(getattr(called, "__qualname__", None) or f"an object of {type(called).__qualname__}")


def _where(function: Any) -> str:
    code = getattr(function, "__code__", None)
    return f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""
