"""Determines the framework of an application.

The executable imports this module for a script that has its own ``Environ`` and serves applications of frameworks, and
for commands such as fapws routes.
"""
from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Tuple

__all__ = ["chain", "framework", "import_views", "wants_dict", "warnings", "with_static_files"]

_KINDS = {
    "flask.app.Flask",
    "django.core.handlers.asgi.ASGIHandler",
    "django.core.handlers.wsgi.WSGIHandler",
    "bottle.Bottle",
    "falcon.app.App",
    "pyramid.router.Router",
    "starlette.applications.Starlette",  # also the base of FastAPI
}
_STRICT = ("webob", "wsgiref")  # packages that reject an environ of a subclass of dict, as PEP 3333 permits them to do
# attributes in which middlewares keep the wrapped application
_INNER = ("wsgi_app", "app", "application", "wrapped", "wrap_app", "_app")
_DEPTH = 16


def framework(entry: Any) -> Tuple[Any, str]:
    """If entry is, or wraps, an application of a known framework, returns this application and its class. Otherwise
    returns (entry, "")."""
    for app in chain(entry):
        for base in type(app).__mro__:
            kind = f"{base.__module__}.{base.__qualname__}"
            if kind in _KINDS:
                return app, kind
    return entry, ""


def wants_dict(entry: Any) -> bool:
    """Whether entry must be called with a plain dict, not an instance of a subclass.

    PEP 3333 requires a plain dict. Only handlers that were written for fapws expect an instance of Environ.
    """
    return bool(framework(entry)[1]) or any(_package(app) in _STRICT for app in chain(entry))


def import_views() -> None:
    """Makes Django import its URLconf, which imports the views, if the application has set up Django.

    Otherwise Django would import the views for the first request, and a reload could replace working code by code that
    cannot be imported.
    """
    from django.apps import apps
    from django.conf import settings
    from django.urls import get_resolver

    if apps.ready and getattr(settings, "ROOT_URLCONF", None):
        get_resolver().url_patterns  # noqa: B018: a property that imports


def warnings(threads: bool) -> List[str]:
    """Returns a line for each package that cannot work in the way in which the application uses it. The parameter
    threads is True if handlers run on threads that the server creates."""
    lines = []
    patched = ("_thread", "start_new_thread"), ("time", "sleep"), ("subprocess", "Popen"), ("queue", "SimpleQueue")
    for module, name in patched:
        function = getattr(sys.modules.get(module), name, None)
        package = (getattr(function, "__module__", "") or "").partition(".")[0]
        # Check the name of the patching package, because debuggers such as debugpy also patch these functions.
        if threads and package in ("gevent", "eventlet") and not lines:
            lines.append(
                f"{package} has patched Python's standard library (monkey patching), which fails on the threads of the"
                " server, in subprocess and queues for example: remove the patch, or use --threads 0, and --workers"
                " for several requests at once"
            )
    for mode in "gevent", "gevent_uwsgi", "eventlet":
        if "engineio.async_drivers." + mode in sys.modules:
            lines.append(
                f'Socket.IO uses async_mode "{mode}", whose WebSockets need the server of that package: use'
                ' async_mode="threading" with the package simple-websocket, and no --threads 0'
            )
    if not threads and "simple_websocket" in sys.modules:
        lines.append(
            "simple-websocket, which Flask-SocketIO and Flask-Sock use, takes the socket of a client on a thread of its"
            " own: remove --threads 0"
        )
    return lines


def with_static_files(served: Any, interface: str) -> Any:
    """Returns served or, if Django is in debug mode with the app staticfiles, an application that also serves the
    static files of all apps, like Django's runserver."""
    from django.apps import apps
    from django.conf import settings
    from fapws._kinds import kind_of

    if not (callable(served) and apps.ready and apps.is_installed("django.contrib.staticfiles")):
        return served
    if not (settings.DEBUG and settings.STATIC_URL):
        return served
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandler

    kind, application = kind_of(served, interface)
    handler = {"wsgi": StaticFilesHandler, "asgi": ASGIStaticFilesHandler}.get(kind)
    return handler(application) if handler else served


def _package(app: Any) -> str:
    module = app.__module__ if type(app) is type(_package) else type(app).__module__
    return str(module).partition(".")[0]


def chain(entry: Any) -> List[Any]:
    """Returns a list that begins with entry. Each further item is the application that the previous item wraps."""
    found = [entry]
    while len(found) < _DEPTH:
        app = found[-1]
        inside = vars(app) if hasattr(app, "__dict__") else {}
        wrapped = [inside[name] for name in _INNER if callable(inside.get(name))]
        owner = getattr(app, "__self__", None)
        if owner is not None:
            wrapped.append(owner)
        wrapped += _enclosed(app)
        if not wrapped:
            break
        found.append(wrapped[0])
    return found


def _enclosed(app: Any) -> List[Any]:
    """Returns the objects in the closure of a function. The function may wrap an application."""
    if type(app) is not type(_enclosed):
        return []
    found: List[Any] = []
    for cell in app.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:  # The closure has an empty cell.
            continue
        if callable(value) and not isinstance(value, type):
            found.append(value)
    return found
