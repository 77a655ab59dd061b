"""The ``atexit`` functions that a process of ``--fork`` runs.

Functions that the application has registered before the fork clean up when the application ends, so they run only in
the loader. Packages that send collected data, such as Sentry and OpenTelemetry, also register before the fork. Their
functions run in each process that has a thread of the package, because this process has the queue with the data.
"""
from __future__ import annotations

import atexit
import faulthandler
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Set, Tuple

__all__ = ["run", "watch"]

_BOUND = 5

# registered functions, as (id of the process that registered it, function, arguments, keyword arguments)
_registered: List[Tuple[int, Callable[..., Any], Tuple[Any, ...], Dict[str, Any]]] = []


def watch() -> None:
    """Starts recording registered functions, because module atexit does not list them."""
    register, unregister = atexit.register, atexit.unregister

    def recorded(func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        register(func, *args, **kwargs)
        _registered.append((os.getpid(), func, args, kwargs))
        return func

    def forgotten(func: Callable[..., Any], /) -> None:
        unregister(func)
        _registered[:] = [each for each in _registered if each[1] != func]

    atexit.register, atexit.unregister = recorded, forgotten


def run() -> None:
    """Runs the functions that this process has registered, and functions from packages with a running thread, in
    reverse order.
    """
    here, packages = os.getpid(), _packages()
    wanted = [each for each in reversed(_registered) if each[0] == here or _package(each[1]) in packages]
    if not wanted:
        return
    faulthandler.dump_traceback_later(_BOUND, exit=True, file=2)
    for _, func, args, kwargs in wanted:
        try:
            func(*args, **kwargs)
        except BaseException:
            sys.excepthook(*sys.exc_info())


def _packages() -> Set[str]:
    """Returns the packages whose code runs on threads of this process."""
    threading = sys.modules.get("threading")
    if not threading:
        return set()
    return {_package(getattr(each, "_target", None) or type(each).run) for each in threading.enumerate()} - {
        "threading"
    }


def _package(func: Any) -> str:
    """Returns the name of the top-level package of a function, a method or functools.partial."""
    return (getattr(getattr(func, "func", func), "__module__", None) or "").partition(".")[0]
