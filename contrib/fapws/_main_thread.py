"""Imports threading on a thread other than the main thread, for Python before 3.13.

Before 3.13, module threading regards the thread that imports it as the main thread. To save memory, the server does not
import threading for scripts that do not use it.
"""
from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def spec_of_threading(ident: int, native_id: int, pid: int) -> Any:
    """Returns a module spec for threading in which the thread ident is the main thread of the process pid. Returns None
    in a forked child, whose main thread is the thread that has forked it.

    The server's module finder calls this function on threads other than the main thread.
    """
    if os.getpid() != pid:
        return None
    from _frozen_importlib_external import PathFinder  # type: ignore[import-not-found]

    spec = PathFinder.find_spec("threading")
    execute = spec.loader.exec_module

    def exec_module(module: Any) -> None:
        execute(module)
        thread = module._main_thread
        with module._active_limbo_lock:
            del module._active[thread.ident]
            thread._ident, thread._native_id = ident, native_id
            module._active[ident] = thread
        # Python would release the importing thread's lock when that thread ends. It releases the main thread's lock at
        # its own end.
        lock = module._allocate_lock()
        lock.acquire()
        with module._shutdown_locks_lock:
            module._shutdown_locks.discard(thread._tstate_lock)
        thread._tstate_lock = lock

    spec.loader.exec_module = exec_module
    return spec
