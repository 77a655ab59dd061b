"""Fapws for Python scripts: the modules that a script under the ``fapws`` executable can import.

====================================  =========================================
``fapws``                             ``HTTPError``, ``defer``, ``timer``,
                                      ``Timeout``, ``ClientDisconnected``, ``channel``, ``publish``,
                                      ``subscribers``, ``on_join``, ``on_leave``,
                                      ``WebSocket``, ``broadcast``, ``upload``,
                                      ``Login``, ``run``
``fapws.base``                        ``Start_response``, ``Environ``
``fapws.cache``                       ``cached``, ``purge``
``fapws.groups``                      ``join``, ``leave``, ``send``, ``count``: groups of ASGI WebSockets
``fapws.metrics``                     ``counter``, ``gauge``, ``histogram``
``fapws.testing``                     ``serve``: the server in tests
``fapws.users``                       ``check``, ``set``, ``list``, ``remove``: the users of a login
``fapws.contrib.headers``             ``redirect``, ``rfc1123_date``
``fapws.contrib.log``                 ``Log``, a line for each call of a handler
``fapws.contrib.sessions``            ``Sessions``, ``Session``
``fapws.contrib.views``               ``Staticfile``
``fapws.contrib.zip``                 ``Gzip``, compressed responses
``fapws.contrib.multipart``           ``parse`` (file uploads)
``fapws.contrib.channels``            ``Layer`` for Django Channels
====================================  =========================================

The same modules answer to the names that Fapws4 scripts use (``fapws4.base``
and so on). Nothing here is needed to serve a script: a plain
``def app(environ, start_response)`` works without an import.
"""

__version__ = "0.2.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fapws._channels import (
        channel as channel, subscribers as subscribers, on_join as on_join, on_leave as on_leave, publish as publish,
    )
    from fapws._errors import HTTPError as HTTPError
    from fapws._later import (
        Timer as Timer,
        add_timer as add_timer,
        defer as defer,
        defer_queue_size as defer_queue_size,
        restart_timer as restart_timer,
        stop_timer as stop_timer,
        timer as timer,
    )
    from fapws._login import Login as Login
    from fapws._run import run as run
    from fapws._timeout import ClientDisconnected as ClientDisconnected, Timeout as Timeout
    from fapws._upload import Upload as Upload, UploadedFile as UploadedFile, upload as upload
    from fapws._websocket import (
        WebSocket as WebSocket, WebSocketConnection as WebSocketConnection, broadcast as broadcast,
    )

_modules = {
    "channel": "_channels",
    "subscribers": "_channels",
    "on_join": "_channels",
    "on_leave": "_channels",
    "publish": "_channels",
    "HTTPError": "_errors",
    "Timer": "_later",
    "add_timer": "_later",
    "defer": "_later",
    "defer_queue_size": "_later",
    "restart_timer": "_later",
    "stop_timer": "_later",
    "timer": "_later",
    "Login": "_login",
    "run": "_run",
    "ClientDisconnected": "_timeout",
    "Timeout": "_timeout",
    "Upload": "_upload",
    "UploadedFile": "_upload",
    "upload": "_upload",
    "WebSocket": "_websocket",
    "WebSocketConnection": "_websocket",
    "broadcast": "_websocket",
}


__all__ = list(_modules)

# With __getattr__, a type checker would accept any name as a member of this package.
if not TYPE_CHECKING:

    def __getattr__(name):
        """Imports a module of the package when a script first uses one of its names."""
        if name not in _modules:
            raise AttributeError(f"module 'fapws' has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module("fapws." + _modules[name]), name)
        return value

    def __dir__():
        """Returns the public names, for editors and shells, including names that are not imported yet."""
        return sorted({
            *_modules,
            *(name for name in globals() if name.startswith("__") or name[0] != "_" and name != "TYPE_CHECKING"),
        })
