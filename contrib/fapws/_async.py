"""The asyncio thread: its event loop, the lifespans of ASGI applications, and its end.

The executable imports this module if a handler or application is async.
"""
from __future__ import annotations

import asyncio
import contextvars
import logging
import threading

from fapws._failure import describe, describe_text, log
from fapws._loop import current
from fapws._traceback import tame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Set, Tuple, Union

    Functions = Dict[str, Callable[..., Any]]

__all__ = ["start", "stop"]

_STARTUP = " (during lifespan.startup)"
_FAILED = "the startup of the application failed"
_CLOSING = 1.0  # maximum time in seconds until cancelled tasks have ended


def start(loop: str, lifespan: str, applications: List[Any], functions: Functions) -> Union[str, List[Tuple[Any, Any]]]:
    """Starts the thread and the lifespan of each application, and waits until the applications have started.

    loop      -- "auto", "asyncio" or "uvloop"
    lifespan  -- "auto", "on" or "off"
    functions -- the functions of the executable, by their names "begin", "turn", "tasks" and "end"
                 (pybridge/asgi_thread.c)

    Returns [(application, state)], or one line about an error. Must be called on the thread that has loaded the
    applications, because all tasks inherit the context variables of this thread.
    """
    global _thread
    try:
        requests_loop = current(loop)
    except ImportError as error:
        return f"--loop uvloop: {error}"
    lifespans = [_Lifespan(app, lifespan) for app in applications] if lifespan != "off" else []
    _thread = _Thread(requests_loop, lifespans, functions)
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_thread.run,), name="fapws-asyncio", daemon=True).start()
    _thread.started.wait()
    if _thread.failure is not None:
        return _thread.failure
    return [(each.app, each.state) for each in lifespans]


def stop(seconds: float) -> None:
    """Ends the thread when all requests have ended, but at the latest after the given number of seconds. Must be called
    on the thread itself."""
    if _thread is not None and not _thread.stopped.done():
        _thread.stopped.set_result(seconds)


_thread: Optional[_Thread] = None


class _Thread:
    def __init__(self, loop: asyncio.AbstractEventLoop, lifespans: List[_Lifespan], functions: Functions) -> None:
        self.loop = loop
        self.lifespans = lifespans
        self.functions = functions
        self.started = threading.Event()
        self.failure: Optional[str] = None
        self.stopped: asyncio.Future[float]

    def run(self) -> None:
        if type(logging.lastResort).__module__ == "logging":
            tame(logging.lastResort)  # asyncio logs exceptions that were never retrieved.
        loop = self.loop
        try:
            asyncio.set_event_loop(loop)
            loop.add_reader(self.functions["begin"](loop), self.functions["turn"])
            try:
                _run(loop, loop.create_task(self.serve(loop)))
            finally:
                _close(loop)
        except BaseException as error:
            log("error" if self.started.is_set() else "fatal", "the asyncio thread failed", error=error)
            self.failure = describe(error, "the asyncio thread")
        finally:
            self.functions["end"]()
            self.started.set()

    async def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        self.stopped = loop.create_future()
        startup = loop.create_task(self.startup())
        await asyncio.wait({startup, self.stopped}, return_when=asyncio.FIRST_COMPLETED)
        if startup.done():
            self.failure = startup.result()
            if self.failure is not None:
                return
            self.started.set()
        seconds = await self.stopped
        until = loop.time() + seconds
        if not startup.done():
            self.failure = "stopped during lifespan.startup"
            startup.cancel()
        await _end(self.functions["tasks"](), seconds)
        for lifespan in reversed(self.lifespans):
            await lifespan.shutdown(max(until - loop.time(), _CLOSING))

    async def startup(self) -> Optional[str]:
        """Starts the lifespans and returns None. If a startup fails, ends all lifespans and returns one line about the
        failure."""
        for number, lifespan in enumerate(self.lifespans):
            wrong = await lifespan.startup()
            if wrong is not None:
                for other in reversed(self.lifespans[:number]):
                    await other.shutdown(_CLOSING)
                return wrong
        return None


def _run(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    """Runs loop until task has ended, even if other code stops the loop.

    A SystemExit or KeyboardInterrupt in any other task would also stop the loop, but one request must not end the
    server.
    """
    while True:
        try:
            return loop.run_until_complete(task)
        except BaseException as error:
            if task.done() or loop.is_closed():
                raise
            log("warning", "ignored an attempt to stop the asyncio thread", error=error)


async def _end(tasks: List[asyncio.Task[Any]], seconds: float) -> None:
    """Waits for tasks for the given number of seconds, and then cancels the tasks that have not ended."""
    left: Set[asyncio.Task[Any]] = set(tasks)
    if left and seconds > 0:
        _, left = await asyncio.wait(left, timeout=seconds)
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_CLOSING)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Closes the loop like asyncio.run(), but limits the wait for threads and generators."""
    try:
        loop.run_until_complete(_end([task for task in asyncio.all_tasks(loop)], 0))
        loop.run_until_complete(asyncio.wait_for(loop.shutdown_asyncgens(), _CLOSING))
        if hasattr(loop, "shutdown_default_executor"):  # Python 3.9
            loop.run_until_complete(asyncio.wait_for(loop.shutdown_default_executor(), _CLOSING))
    except asyncio.TimeoutError:
        pass
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class _Refused(RuntimeError):
    """Raised by send() for a message that does not belong to a lifespan."""


class _Lifespan:
    """The lifespan of one application (ASGI 3, "Lifespan Protocol")."""

    def __init__(self, app: Any, mode: str) -> None:
        self.app = app
        self.wanted = mode == "on"
        self.state: Dict[str, Any] = {}
        self.task: Optional[asyncio.Task[None]] = None
        # asked: the application has called receive(); refused: send() has raised an exception
        self.asked = self.refused = False
        self.answer: Tuple[str, str] = ("", "")
        self.error: Optional[BaseException] = None

    async def startup(self) -> Optional[str]:
        """Starts the lifespan and returns None. If the startup fails, logs the traceback and returns one line about the
        failure."""
        self.inbox: asyncio.Queue[Dict[str, str]] = asyncio.Queue()
        self.changed = asyncio.Event()
        self.inbox.put_nowait({"type": "lifespan.startup"})
        self.task = asyncio.get_running_loop().create_task(self.run())
        await self.changed.wait()
        kind, message = self.answer
        if kind == "lifespan.startup.complete":
            return None
        if kind == "lifespan.startup.failed":
            return self.failed(message)
        self.task = None
        if self.error is None:
            return "--lifespan on: the application does not serve lifespans" if self.wanted else None
        if self.wanted or self.asked and not self.refused and not _of_http(self.error):
            return self.failed("")
        return None

    def failed(self, message: str) -> str:
        if self.error is not None:
            log("fatal", _FAILED, error=self.error)
            return describe(self.error, "the application") + _STARTUP
        message = message.strip()
        if "\n" in message:  # Frameworks put the traceback of the failure into the message of the event.
            log("fatal", f"{_FAILED}: {message}")
            return describe_text(message, "the application") + _STARTUP
        return f"the application: {message or 'lifespan.startup.failed'}{_STARTUP}"

    async def shutdown(self, seconds: float) -> None:
        if self.task is None or self.task.done():
            return
        if not self.changed.is_set():
            await self.cancel(seconds)
            return
        self.changed.clear()
        self.answer = ("", "")
        self.inbox.put_nowait({"type": "lifespan.shutdown"})
        try:
            await asyncio.wait_for(self.changed.wait(), seconds)
        except asyncio.TimeoutError:
            log("warning", f"the shutdown of the application took longer than {seconds:.1f} s")
            self.task.cancel()
        else:
            kind, message = self.answer
            if kind == "lifespan.shutdown.failed":
                log("error", f"the shutdown of the application failed: {message}")
            elif self.error is not None:
                log("error", "the shutdown of the application failed", error=self.error)
        await asyncio.wait({self.task}, timeout=_CLOSING)

    async def cancel(self, seconds: float) -> None:
        """Cancels the startup. If the application nevertheless completes the startup, the application receives the
        shutdown event."""
        assert self.task is not None
        self.inbox.put_nowait({"type": "lifespan.shutdown"})
        self.task.cancel()
        _, left = await asyncio.wait({self.task}, timeout=seconds)
        if left:
            log("warning", f"the startup of the application did not end within {seconds:.1f} s")

    async def run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.error = error
        finally:
            self.changed.set()

    async def receive(self) -> Dict[str, str]:
        self.asked = True
        return await self.inbox.get()

    async def send(self, message: Dict[str, Any]) -> None:
        kind = message["type"]
        if kind not in (
            "lifespan.startup.complete", "lifespan.startup.failed", "lifespan.shutdown.complete",
            "lifespan.shutdown.failed",
        ):
            self.refused = True
            raise _Refused(f"send(): {kind!r} is not a lifespan event")
        self.answer = (kind, str(message.get("message", "")))
        self.changed.set()


def _of_http(error: BaseException) -> bool:
    """Whether an application has failed because it has no code for a lifespan and treats the lifespan's scope as a
    request."""
    return (
        isinstance(error, _Refused)
        or isinstance(error, KeyError)
        and error.args[:1] in (("body",), ("more_body",), ("path",), ("method",), ("headers",))
    )
