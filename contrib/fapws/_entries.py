"""Reads PATHS, or a single application: the kind of each entry, its name and its options.

The executable imports this module for each application that it loads. The modules for unusual entries are imported only
if there is such an entry.
"""
from __future__ import annotations

import sys
from types import FunctionType

from fapws._native import Start_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple, Union

    Entry = Tuple[str, str, str, str, str, str, str, str, bool, bool, Any, Any]
    Class = Optional[type]

__all__ = ["application", "classes", "shown", "table"]

_COROUTINE, _VARARGS = 0x280, 0x04  # inspect.CO_COROUTINE | CO_ASYNC_GENERATOR, CO_VARARGS
_CHARS = 120  # maximum length of a value in messages
_WSGI = "environ", "start_response"
_ARGUMENTS = {"wsgi": _WSGI, "handler": _WSGI, "asgi": ("scope", "receive", "send")}


class _Wrong(Exception):
    """Raised if an object cannot be served."""


def table(served: Any) -> Union[str, List[Union[Entry, str]]]:
    """Describes each item of a table such as PATHS, or returns why the server cannot use the table. An item of the
    result is a str if the item of the table is wrong, and otherwise a tuple:

    prefix, name, kind, and the options in JSON of a Staticfile, a CGIApplication and an upload; the rule of
    fapws.cache.cached and the arguments of fapws.Login, in JSON; whether an ASGI application needs the path without
    root_path, and whether the application needs a plain dict as environ; the object without the wrappers of cached and
    Login, and the object to call.
    """
    if not isinstance(served, (list, tuple)):
        return f"is {_a(served)}; it must be a list of (uri, callable) tuples"
    if not served:
        return "is empty; it needs at least one (uri, callable) tuple"
    return [_reported(item, _pair, item) for item in served]


def application(served: Any, interface: str, dev: bool) -> Union[Entry, str]:
    """Describes an application like an item of a table. With dev, an application is wrapped so that its violations of
    PEP 3333 are logged, except for applications that fapws itself makes, which can use more than PEP 3333 defines.
    """
    found = _reported(served, _entry, "", served, interface)
    if dev and not isinstance(found, str):
        kind, options, entry, called = found[2], found[3:6], found[-2], found[-1]
        if kind == "wsgi" and not any(options) and called is entry:
            from fapws._pep3333 import checked

            found = (*found[:-1], checked(called))
    return found


def classes(script: Dict[str, Any], asks: bool) -> Tuple[Class, Class]:
    """Returns the classes Environ and Start_response of a script, None for a missing class. With asks, the first result
    is fapws.Environ if the script uses its keys without importing it."""
    environ = _subclass(script.get("Environ"), dict)
    if environ is None and asks:
        from fapws._asked import environ_for

        environ = _tried(environ_for, script)
    return environ, _subclass(script.get("Start_response"), Start_response)


def _subclass(found: Any, base: type) -> Class:
    return found if isinstance(found, type) and issubclass(found, base) and found is not base else None


def _reported(served: Any, describe: Callable[..., Entry], *args: Any) -> Union[Entry, str]:
    try:
        return describe(*args)
    except _Wrong as wrong:
        return str(wrong).encode("utf-8", "replace").decode()
    except Exception as error:  # raised by a property or a metaclass of the object
        from fapws._load import theirs

        sys.excepthook(type(error), error, theirs(error.__traceback__))
        return f"cannot inspect {_a(served)}"


def _pair(item: Any) -> Entry:
    if not isinstance(item, (list, tuple)):
        raise _Wrong(f"must be a tuple (uri, callable), not {_a(item)}")
    if len(item) != 2:
        raise _Wrong(f"must have 2 items (uri, callable), not {len(item)}")
    uri, served = item
    if not isinstance(uri, str):
        raise _Wrong(f"the uri must be a str, not {_a(uri)}")
    if uri and not uri.startswith("/"):
        raise _Wrong("the uri must begin with a slash")
    return _entry(uri, served, "auto")


def _entry(prefix: str, entry: Any, interface: str) -> Entry:
    entry, cache, login = _unwrapped(entry)
    called = _with_verbs(entry)
    if not callable(called):
        raise _Wrong(f"{_a(called)} cannot be called")
    static, cgi, upload = (_text(called, f"_fapws_{option}") for option in ("static", "cgi", "upload"))
    if upload and cache:
        raise _Wrong("an upload cannot be cached")
    kind, relative = "wsgi", False
    if not static and not cgi and (interface == "asgi" or not _is_plain(called)):
        if _text(called, "_fapws_kind") == "websocket":
            kind = "websocket"
        else:
            kind, called, relative = _judged(called, interface)
    wants_dict = not static and _wants_dict(entry)
    return prefix, _name(entry), kind, static, cgi, upload, cache, login, relative, wants_dict, entry, called


def _unwrapped(entry: Any) -> Tuple[Any, str, str]:
    """Returns the object inside the wrappers of fapws.cache.cached and fapws.Login, and their options, or ""."""
    cache = login = ""
    while True:
        rule, arguments = _text(entry, "_fapws_cache"), _text(entry, "_fapws_login")
        inner = _attribute(entry, "__wrapped__") if rule or arguments else None
        if inner is None:
            return entry, cache, login
        entry, cache, login = inner, rule or cache, arguments or login


def _with_verbs(entry: Any) -> Any:
    """Makes an application from a class or an object with methods such as get and post, and returns all other entries
    unchanged."""
    if callable(entry) and not isinstance(entry, type):
        return entry
    from fapws._verbs import adapt

    adapted = adapt(entry)
    if isinstance(adapted, str):
        raise _Wrong(adapted)
    return entry if adapted is None else adapted


def _is_plain(called: Any) -> bool:
    """Whether called can only be a WSGI application, because it is a function, not async, with exactly two arguments.
    Bound methods are excluded, because their first argument is self."""
    code = _attribute(called, "__code__")
    if code is None or _attribute(called, "__self__") is not None:
        return False
    is_usual = not code.co_flags & (_COROUTINE | _VARARGS)
    return bool(is_usual and code.co_argcount == 2 and not code.co_kwonlyargcount)


def _judged(called: Any, interface: str) -> Tuple[str, Any, bool]:
    """Returns the kind of the object called, the object to call in its place, and whether it needs the path without
    root_path."""
    from fapws._arguments import misfit
    from fapws._kinds import kind_of, relative

    kind, called = kind_of(called, interface)
    if kind == "wsgi" and getattr(_attribute(called, "__code__"), "co_flags", 0) & _COROUTINE:
        raise _Wrong("it is async and takes neither (scope, receive, send) nor (environ, start_response)")
    problem = misfit(called, *_ARGUMENTS[kind])
    if problem:
        raise _Wrong(problem)
    return kind, called, kind == "asgi" and bool(_tried(relative, called))


def _wants_dict(entry: Any) -> bool:
    """Whether an application needs a plain dict as environ, even if its script has a class Environ. A class, or a
    function without a closure, cannot wrap such an application."""
    if isinstance(entry, type) or isinstance(entry, FunctionType) and entry.__closure__ is None:
        return False
    from fapws._framework import wants_dict

    return bool(_tried(wants_dict, entry))


def shown(value: Any) -> str:
    """Returns a value as messages show it, in one line of at most 120 characters: functions and classes by their names, and
    other objects without their addresses."""
    try:
        text = " ".join(_shown(value).encode("utf-8", "replace").decode().split("\n"))
    except Exception:  # raised by __repr__
        return f"<{type(value).__name__}>"
    return text if len(text) <= _CHARS else text[:_CHARS] + "..."


def _shown(value: Any) -> str:
    if type(value) in (list, tuple):
        start, end = "[]" if type(value) is list else "()"
        return start + ", ".join(map(_shown, value)) + "," * (start == "(" and len(value) == 1) + end
    if _text(value, "__qualname__"):
        return _name(value)
    from re import sub

    return sub(" at 0x[0-9a-fA-F]+", "", repr(value))


def _name(entry: Any) -> str:
    """Returns the name of a handler in log lines, such as "module.function"."""
    named = entry if _text(entry, "__qualname__") else type(entry)
    name, module = _text(named, "__qualname__"), _text(named, "__module__")
    load = sys.modules.get("fapws._load")
    module = load.renamed.get(module, module) if load else module
    return name if module in ("", "__main__") else f"{module}.{name}"


def _tried(function: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return function(argument)
    except Exception:  # raised by an attribute of an object or a module
        return None


def _text(entry: Any, name: str) -> str:
    value = _attribute(entry, name)
    return value if isinstance(value, str) else ""


def _attribute(entry: Any, name: str) -> Any:
    return _tried(lambda o: getattr(o, name, None), entry)


def _a(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in tuple('aeiouAEIOU') else 'a'} {name}"
