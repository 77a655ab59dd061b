"""Determines whether an entry of PATHS, or a whole application, is WSGI, ASGI, or an async
handler.

The executable checks each entry that is not a plain function with two arguments.
"""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Tuple

__all__ = ["kind_of", "relative"]

_COROUTINE = 0x80  # inspect.CO_COROUTINE
_GENERATOR = 0x200  # inspect.CO_ASYNC_GENERATOR
_VARARGS = 0x04  # inspect.CO_VARARGS
_DEPTH = 16


def kind_of(entry: Any, interface: str = "auto") -> Tuple[str, Any]:
    """Returns ("wsgi", "asgi" or "handler", the object to call). A callable is ASGI if it requires three arguments, or
    belongs to a known ASGI framework. A callable for (scope), whose result takes (receive, send), is ASGI 2 and is
    adapted. A callable with two arguments and ``async def`` is a handler (environ, start_response). All other callables
    are WSGI. If the parameter interface is "wsgi" or "asgi", the result is this interface, whatever the signature."""
    if interface == "wsgi":
        return "wsgi", entry
    flags, least, most = _signature(entry)
    if interface == "asgi":
        return "asgi", _adapted(entry) if _is_double(entry, True) else entry
    if isinstance(entry, type):
        return ("asgi", _adapted(entry)) if _is_double(entry) else ("wsgi", entry)
    if least <= 3 <= most and (least == 3 or flags & _COROUTINE and (most == 3 or _first_name(entry) == "scope")):
        # A function (environ, start_response, db) is a WSGI handler with one argument too many, not ASGI.
        return "wsgi" if _first_name(entry) == "environ" else "asgi", entry
    if _is_double(entry):
        return "asgi", _adapted(entry)
    if flags & _COROUTINE and most == 2 and _first_name(entry) == "scope":
        return "asgi", entry  # The function lacks the argument send. A later check reports this.
    if flags & (_COROUTINE | _GENERATOR) and least <= 2 <= most:
        return "handler", entry
    if _is_framework(entry):
        return "asgi", entry
    return "wsgi", entry


def relative(entry: Any) -> bool:
    """Whether an ASGI application needs the path without root_path, like Starlette before 0.33."""
    from fapws._framework import chain

    for app in chain(entry):
        if any(base.__module__.partition(".")[0] == "starlette" for base in type(app).__mro__):
            from starlette import __version__

            numbers = [int(part) for part in __version__.split(".")[:2] if part.isdigit()]
            return numbers < [0, 33]
    return False


def _function(entry: Any) -> Tuple[Any, int]:
    """Returns the Python function that runs when entry is called, and how many of its arguments are already bound."""
    given = 0
    for _ in range(_DEPTH):
        if hasattr(entry, "__self__") and hasattr(entry, "__func__"):
            entry, given = entry.__func__, given + 1
        elif hasattr(entry, "__code__"):
            return entry, given
        elif type(entry).__name__ == "partial" and hasattr(entry, "func"):
            names = set(entry.keywords or ())
            entry, given = entry.func, given + len(entry.args)
            if names:
                return _without(entry, names), given
        elif isinstance(entry, type) or not callable(entry):
            break
        else:
            call = type(entry).__call__
            if not hasattr(call, "__code__"):
                break
            entry, given = call, given + 1
    return None, 0


def _without(entry: Any, names: Any) -> Any:
    """Returns a description of the arguments that entry requires in addition to those in names, or None if the code of
    entry is unknown."""
    function, _ = _function(entry)
    code = getattr(function, "__code__", None)
    if code is None:
        return None

    class Rest:
        class __code__:
            co_flags = code.co_flags
            co_argcount = code.co_argcount - sum(name in names for name in code.co_varnames[: code.co_argcount])

        __defaults__ = ()

    return Rest


def _signature(entry: Any) -> Tuple[int, int, int]:
    """Returns co_flags, and the minimum and maximum number of positional arguments of a call, or (0, 0, 0) if
    unknown."""
    function, given = _function(entry)
    if function is None:
        return 0, 0, 0
    wrapped = getattr(function, "__wrapped__", None)  # set by decorators with functools.wraps
    code = function.__code__
    if wrapped is not None and hasattr(wrapped, "__code__") and code.co_flags & _VARARGS:
        code = wrapped.__code__
        function = wrapped
    flags = code.co_flags | (_COROUTINE if getattr(entry, "_is_coroutine", None) or _is_marked(entry) else 0)
    most = code.co_argcount - given
    least = most - len(function.__defaults__ or ())
    if function.__code__.co_flags & _VARARGS:
        most = 255
    return flags, max(least, 0), most


def _is_marked(entry: Any) -> bool:
    """Whether entry was marked by inspect.markcoroutinefunction (Python 3.12)."""
    return bool(getattr(entry, "_is_coroutine_mark", None))


def _first_name(entry: Any) -> str:
    """Returns the name of the first argument of a call, "" if unknown."""
    return _names(entry)[0] if _names(entry) else ""


def _names(entry: Any) -> Tuple[str, ...]:
    """Returns the names of the positional arguments of a call, () if unknown."""
    function, given = _function(entry)
    code = function.__code__ if function else None
    return code.co_varnames[given : code.co_argcount] if hasattr(code, "co_varnames") else ()


def _is_framework(entry: Any) -> bool:
    """Whether the class of entry is known to be ASGI, although the arguments of its __call__ do not show this."""
    known = (
        "starlette.applications", "fastapi.applications", "quart.app", "django.core.handlers.asgi", "falcon.asgi.app",
        "litestar.app", "sanic.app", "channels.routing", "blacksheep.server.application",
    )
    return any(base.__module__ in known for base in type(entry).__mro__)


def _is_double(entry: Any, asgi: bool = False) -> bool:
    """Whether entry is an ASGI 2 application: entry(scope) returns a callable for (receive, send). The parameter asgi
    tells that the entry is ASGI, so that the argument may have any name."""
    if isinstance(entry, type):
        _, least, most = _signature(entry.__init__)
        flags, fewest, largest = _signature(entry.__call__)
        is_call = fewest <= 3 <= largest and (flags & _COROUTINE or "receive" in _names(entry.__call__))
        return least <= 2 <= most and bool(is_call)
    flags, least, most = _signature(entry)
    if flags & (_COROUTINE | _GENERATOR | _VARARGS):
        return False
    return asgi and most == 1 or least <= 1 <= most and _first_name(entry) == "scope"


def _adapted(entry: Any) -> Callable[..., Any]:
    async def single(scope: Dict[str, Any], receive: Any, send: Any) -> None:
        await entry(scope)(receive, send)

    single.__name__ = getattr(entry, "__name__", type(entry).__name__)
    single.__qualname__ = getattr(entry, "__qualname__", type(entry).__qualname__)
    single.__module__ = getattr(entry, "__module__", None) or type(entry).__module__
    return single
