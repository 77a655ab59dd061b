"""Support for processes that multiprocessing starts with the methods spawn and forkserver.

These processes are plain Python interpreters, which import the script again, under a different name, to find the
functions to run. So that they can import a script that imports fapws, an archive with package fapws, which is in the
memory of the server, is added to their sys.path. Placeholders replace the classes of the executable, because these processes serve no clients.
"""
from __future__ import annotations

import os
import sys
from typing import Any, Iterable, Mapping


def in_one() -> bool:
    """Whether multiprocessing has started this process, which now imports the script."""
    process = sys.modules.get("multiprocessing.process")
    return bool(process) and getattr(process.current_process(), "_inheriting", False)


def spec_of_spawn(folder: str, path: Any, target: Any) -> Any:
    """Returns a module spec for multiprocessing.spawn that adds package fapws to sys.path in the started processes.
    The package is in folder, or in the executable if folder is "".

    The server's module finder calls this function when multiprocessing is first used.
    """
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("multiprocessing.spawn", path, target)
    if spec is None or spec.loader is None:
        return spec
    execute = spec.loader.exec_module

    def exec_module(module: Any) -> None:
        execute(module)
        get_data = module.get_preparation_data

        def get_preparation_data(name: str) -> Any:
            data = get_data(name)
            # Append the package, so that it hides no other module.
            data.setdefault("sys_path", list(sys.path)).append(folder or _archive())
            return data

        module.get_preparation_data = get_preparation_data

    spec.loader.exec_module = exec_module  # type: ignore[method-assign]
    return spec


_descriptor = -1  # of the archive, which stays open


def _archive() -> str:
    """Returns the path of a zip archive with package fapws."""
    global _descriptor
    if _descriptor < 0:
        from fapws._finder import sources

        _descriptor = os.memfd_create("fapws")
        os.write(_descriptor, sources())
    return f"/proc/{os.getpid()}/fd/{_descriptor}"


class Start_response:
    """A subclassable replacement of the server's class."""

    def __init__(self) -> None:
        raise RuntimeError("a process of multiprocessing does not handle requests")


class ClientDisconnected(BrokenPipeError):
    """An exception raised by write() and send() after the client has disconnected; never raised in this process."""


class Timeout(Exception):
    """An exception raised in a handler that takes longer than --timeout; never raised in this process."""


def static_answer(options: str, environ: Mapping[str, Any], program: bool = False) -> Iterable[bytes]:
    raise RuntimeError("a process of multiprocessing does not handle requests")


def cache_purge(pattern: str) -> None:
    raise RuntimeError("a process of multiprocessing cannot purge the cache of the server")


_NOT_SERVED = "not available in a process of multiprocessing"


class ChannelAnswer:
    """Replaces the result of fapws.channel, which may be an entry of PATHS."""

    def __init__(self, names: str) -> None:
        self._names = names

    def __call__(self, environ: Any, start_response: Any) -> Any:
        raise RuntimeError(f"channel: {_NOT_SERVED}")

    def __repr__(self) -> str:
        return f"channel({self._names!r})"


def channel_answer(names: str, start: bytes, headers: Any) -> ChannelAnswer:
    return ChannelAnswer(names)


def channel_subscribers(name: str) -> int:
    raise RuntimeError(f"subscribers: {_NOT_SERVED}")


def channel_publish(name: str, id: str, type: str, data: str) -> bool:
    if in_one():
        # Publish nothing, because the server has already published these events when it imported the script.
        return True
    raise RuntimeError(f"publish: {_NOT_SERVED}")


def channel_watch() -> None:
    """Does nothing, because no client subscribes in this process."""


class WebSocketConnection:
    """Replaces the server's class in this process."""


def broadcast(websockets: Iterable[WebSocketConnection], message: Any) -> int:
    raise RuntimeError("WebSockets are not available in a process of multiprocessing")


def broadcast_all(websocket: Any, message: Any, group: Any) -> bool:
    if in_one():
        return True  # nothing to send, because this process has no clients
    raise RuntimeError("WebSockets are not available in a process of multiprocessing")


def websocket_count(websocket: Any, group: Any) -> int:
    return 0


def group_count(group: str) -> int:
    return 0


def group_join(socket: int, group: str) -> None:
    raise RuntimeError("WebSockets are not available in a process of multiprocessing")


group_leave = group_join


def group_send(group: str, message: Any) -> bool:
    return broadcast_all(None, message, group)


def ipc_post(topic: str, data: bytes) -> bool:
    return broadcast_all(None, data, topic)


def ipc_watch() -> None:
    """Registers nothing, because messages from other processes do not arrive in a process of multiprocessing."""
