"""The event loop of uvloop, if uvloop is installed."""
from __future__ import annotations

from types import coroutine

import uvloop
from _fapws import signals_on_stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Coroutine, Generator

__all__ = ["Loop"]


class Loop(uvloop.Loop):  # type: ignore[misc]
    """An event loop of uvloop whose handler for SIGCHLD runs on the alternate signal stack, because the stack of a
    goroutine is too small. libuv installs this handler when it starts a program."""

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        return await _told(super().subprocess_exec(*args, **kwargs))

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        return await _told(super().subprocess_shell(*args, **kwargs))


@coroutine
def _told(starting: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Awaits the coroutine ``starting``. After each step, sets signal handlers to run on the alternate signal stack."""
    step: Any = starting.send
    value: Any = None
    while True:
        try:
            waits_for = step(value)
        except StopIteration as end:
            return end.value
        finally:
            signals_on_stack()
        try:
            value = yield waits_for
            step = starting.send
        except BaseException as error:
            step, value = starting.throw, error
