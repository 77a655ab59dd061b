"""The event loop of the asyncio thread.

While the applications are imported, it is also the current event loop of the importing thread: a task that a module
creates on asyncio.get_event_loop() runs together with the requests. The loop is made when it is first needed.
"""
from __future__ import annotations

import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from typing import Any, Callable, Optional

__all__ = ["change_events", "current", "spec_of_events"]

_importing = True  # the applications are being imported
_first: Optional[asyncio.AbstractEventLoop] = None  # the loop that get_event_loop() has returned during the imports


def spec_of_events(name: str, main: int, path: Any, target: Any) -> Any:
    """Returns a module spec for asyncio.events whose module change_events has changed.

    The server's module finder calls this function when asyncio is first imported. The parameters name and main are
    those of change_events.
    """
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("asyncio.events", path, target)
    if spec is None or spec.loader is None:
        return spec
    execute = spec.loader.exec_module

    def exec_module(module: Any) -> None:
        execute(module)
        change_events(module, name, main)

    spec.loader.exec_module = exec_module  # type: ignore[method-assign]
    return spec


def change_events(events: Any, name: str, main: int) -> None:
    """Makes get_event_loop() return the loop of the asyncio thread on the thread main, unless this thread already has a
    current loop, or had one that it has given up. Python before 3.14 would make a loop, and later versions fail.

    events -- module asyncio.events
    name   -- "auto", "asyncio" or "uvloop"
    """
    # Policies, of which there is one for the process, keep the current loop of each thread. Other names of the class:
    # since Python 3.14, before it.
    policy = getattr(events, "_BaseDefaultEventLoopPolicy", None) or events.BaseDefaultEventLoopPolicy
    get = policy.get_event_loop

    def get_event_loop(self: Any) -> asyncio.AbstractEventLoop:
        if _importing and get_ident() == main and not self._local._loop and not getattr(self._local, "_set_called", 0):
            self.set_event_loop(_make_first(name))
        loop: asyncio.AbstractEventLoop = get(self)
        return loop

    get_event_loop.__doc__ = get.__doc__
    policy.get_event_loop = get_event_loop


def current(name: str) -> asyncio.AbstractEventLoop:
    """Returns the loop for the asyncio thread: the current loop of the calling thread, which has imported the
    applications, or a new one. Must be called once, after the imports. Raises ImportError if name is "uvloop" and
    uvloop cannot be imported.
    """
    global _importing
    _importing = False
    from asyncio import all_tasks, events

    from fapws._failure import log

    make = _factory(name)
    # No public function returns the current loop without making one.
    local = getattr(getattr(events, "_event_loop_policy", None), "_local", None)
    loop = next((one for one in (getattr(local, "_loop", None), _first) if _is_free(one)), None)
    if _first is not loop and _is_free(_first) and all_tasks(_first):
        log("warning", "tasks that the application created on asyncio.get_event_loop() never run, because it has then "
            "called asyncio.set_event_loop(); create them after this call")
    if loop is None:
        return make()
    kind = type(loop)
    if name != "auto" and issubclass(kind, getattr(sys.modules.get("uvloop"), "Loop", ())) != (name == "uvloop"):
        log("warning", f"--loop {name} has no effect: the application has set an event loop of type "
            f"{kind.__module__}.{kind.__qualname__}, which now runs the requests")
    return loop


def _is_free(loop: Any) -> bool:
    return loop is not None and not loop.is_closed() and not loop.is_running()


def _make_first(name: str) -> asyncio.AbstractEventLoop:
    global _first
    if _first is None or _first.is_closed():
        try:
            _first = _factory(name)()
        except ImportError:  # current() reports that there is no uvloop
            _first = _factory("asyncio")()
    return _first


def _factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name != "asyncio":
        try:
            from fapws._uvloop import Loop

            return Loop
        except ImportError:
            if name == "uvloop":
                raise
    from asyncio import new_event_loop

    return new_event_loop
