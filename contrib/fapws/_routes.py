"""The table of ``fapws routes APP``: paths with their handlers.

The routes of Flask, Django, Bottle, Falcon, Pyramid, Starlette and FastAPI are read from the
objects of these frameworks. A framework that an application does not use is not imported.
"""
from __future__ import annotations

import os
import sys
from re import sub

from fapws._framework import framework

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Tuple

    class Row(NamedTuple):
        path: str
        methods: str
        handler: str

    Entry = Tuple[str, Any, str]
    App = Tuple[str, Dict[str, Any], List[Entry]]
else:
    from collections import namedtuple

    Row = namedtuple("Row", "path methods handler")

__all__ = ["main", "rows"]

_ANY = "any"
_WEBSOCKET = "WEBSOCKET"
_QUIET = {"HEAD", "OPTIONS"}  # methods that every route with GET also has


def main(apps: List[App]) -> None:
    """Prints a table of the routes of each app (name, globals, entries). An entry is (prefix, object, name)."""
    heading = Row("PATH", "METHODS", "HANDLER")
    tables = [[heading] + [row for entry in entries for row in rows(*entry)] for _, _, entries in apps]
    widths = [max(len(row[column]) for table in tables for row in table) for column in range(2)]
    try:
        for number, table in enumerate(tables):
            if len(apps) > 1:
                print("\n" * (number > 0) + f"{apps[number][0]}:")
            for row in table:
                print(f"{row.path:{widths[0]}}  {row.methods:{widths[1]}}  {row.handler}")
        sys.stdout.flush()
    except BrokenPipeError:  # the output was closed, as in "fapws routes app.py | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def rows(prefix: str, entry: Any, name: str) -> List[Row]:
    """Returns the rows for an entry of PATHS, or for a whole application (prefix "")."""
    app, kind = framework(entry)
    if kind:
        try:
            found = [Row(prefix.rstrip("/") + path, methods, handler) for path, methods, handler in _READERS[kind](app)]
        # The installed version of the framework does not have the attributes that this module reads.
        except AttributeError:
            found = []
        if found:
            return found
    return [Row(prefix + "*" * (prefix in ("", "/")), _methods(entry), _text(entry, name))]


def _methods(entry: Any) -> str:
    if hasattr(entry, "_fapws_static"):
        return "GET HEAD"
    if getattr(entry, "_fapws_kind", "") == "websocket":
        return _WEBSOCKET
    if hasattr(entry, "_fapws_upload"):
        return "DELETE GET HEAD OPTIONS PATCH POST PUT" if entry._rule["resumable"] else "GET HEAD POST PUT"
    if isinstance(entry, type) or not callable(entry):
        from fapws._verbs import adapt

        return getattr(adapt(entry), "allowed", _ANY).replace(",", "")
    return _ANY


def _text(entry: Any, name: str) -> str:
    if getattr(entry, "_fapws_kind", "") == "websocket":
        callbacks = [entry.on_message, entry.on_open, entry.on_close]
        return sub(r"^__main__\.", "", next((_named(callback, name) for callback in callbacks if callback), name))
    shown = (
        hasattr(entry, "_fapws_static") or hasattr(entry, "_fapws_cgi") or hasattr(entry, "_fapws_upload")
        or type(entry).__name__ == "ChannelAnswer"
    )
    return repr(entry) if shown else name


def _named(function: Any, otherwise: str = "") -> str:
    """Returns the name "module.function" of a function. For an object that wraps a function, returns the wrapped
    function's name."""
    function = getattr(function, "func", function)  # functools.partial
    name = getattr(function, "__qualname__", "")
    if not name or "<lambda>" in name and otherwise:
        return otherwise or f"{type(function).__module__}.{type(function).__qualname__}"
    return f"{getattr(function, '__module__', None) or '?'}.{name}"


def _listed(methods: Iterable[str]) -> str:
    given = set(methods)
    return " ".join(sorted(given - _QUIET or given)) or _ANY


def _flask(app: Any) -> Iterator[Row]:
    for rule in app.url_map.iter_rules():
        host = rule.host or (f"{rule.subdomain}." if rule.subdomain else "")
        handler = _named(app.view_functions.get(rule.endpoint), rule.endpoint)
        yield Row(host + rule.rule, _listed(rule.methods or ()), handler)


def _django(app: Any) -> Iterator[Row]:
    from django.urls import get_resolver

    return _django_patterns(get_resolver().url_patterns, "/")


def _django_patterns(patterns: Iterable[Any], prefix: str) -> Iterator[Row]:
    for pattern in patterns:
        path = prefix + sub(r"^\^|\\Z$|\$$", "", str(pattern.pattern))
        if hasattr(pattern, "url_patterns"):
            yield from _django_patterns(pattern.url_patterns, path)
            continue
        view = getattr(pattern.callback, "view_class", None)
        methods = [verb.upper() for verb in view.http_method_names if hasattr(view, verb)] if view else ()
        yield Row(path, _listed(methods), pattern.lookup_str)


def _bottle(app: Any) -> Iterator[Row]:
    for route in app.routes:
        yield Row(route.rule, _ANY if route.method in ("ANY", "PROXY") else route.method, _named(route.callback))


def _falcon(app: Any) -> Iterator[Row]:
    from falcon import inspect

    for route in inspect.inspect_routes(app):
        methods = (method.method for method in route.methods if not method.internal)
        yield Row(route.path, _listed(methods), route.class_name)
    for static in inspect.inspect_static_routes(app):
        yield Row(static.prefix, "GET", static.directory)
    for sink in inspect.inspect_sinks(app):
        yield Row(sink.prefix, _ANY, sink.name)


def _pyramid(app: Any) -> Iterator[Row]:
    from pyramid.interfaces import IRoutesMapper

    views: Dict[str, List[Any]] = {}
    for item in app.registry.introspector.get_category("views") or ():
        view = item["introspectable"]
        views.setdefault(view.get("route_name") or "", []).append(view)
    mapper = app.registry.queryUtility(IRoutesMapper)
    for route in mapper.get_routes() if mapper else ():
        path = "/" + route.pattern.lstrip("/")
        for view in views.get(route.name) or ({},):
            methods = view.get("request_methods") or ()
            called = view.get("callable")
            handler = _named(called, route.name) if called else f"route {route.name}, which has no view"
            if view.get("attr"):
                handler += f".{view['attr']}"
            yield Row(path, _listed([methods] if isinstance(methods, str) else methods), handler)
    for view in views.get("", ()):  # These views have no path, because Pyramid finds them by traversal.
        handler = _named(view.get("callable"))
        if not view.get("exception_only") and not handler.startswith("pyramid."):
            yield Row(f"(traversal) {view.get('name') or '/'}", _ANY, handler)


def _starlette(app: Any) -> Iterator[Row]:
    return _starlette_routes(app.routes, "")


def _starlette_routes(routes: Iterable[Any], prefix: str) -> Iterator[Row]:
    for route in routes:
        path = prefix + getattr(route, "path", "")  # a Starlette Host has no path
        if hasattr(route, "endpoint"):
            methods = _listed(route.methods or ()) if hasattr(route, "methods") else _WEBSOCKET
            yield Row(path, methods, _named(route.endpoint, route.name))
        elif getattr(route, "routes", None):
            yield from _starlette_routes(route.routes, path)
        else:
            yield Row(path + "/*", _ANY, _named(route.app))


_READERS: Dict[str, Callable[[Any], Iterator[Row]]] = {
    "flask.app.Flask": _flask,
    "django.core.handlers.asgi.ASGIHandler": _django,
    "django.core.handlers.wsgi.WSGIHandler": _django,
    "bottle.Bottle": _bottle,
    "falcon.app.App": _falcon,
    "pyramid.router.Router": _pyramid,
    "starlette.applications.Starlette": _starlette,
}
