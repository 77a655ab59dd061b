"""Background work: ``defer`` and ``timer``, as in fapws3.

All functions run on one daemon thread, which the first call starts, one
at a time. An exception of a function is reported on
stderr, and the next function runs. When the server stops, timers stop, and deferred
functions still run for up to 5 s. A child
made by ``os.fork()`` runs none.
"""
from __future__ import annotations

import atexit
import heapq
import os
import threading
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Deque, Dict, List, Optional, Tuple, overload

    Function = Callable[..., object]
    Call = Tuple[Function, Tuple[Any, ...], Dict[str, Any]]


#: Maximum number of waiting deferred calls; defer raises RuntimeError beyond it.
MOST_WAITING = 100_000


class _Runner:
    """The thread that runs the functions, and the functions to run. The lock ``changed`` guards all members."""

    def __init__(self) -> None:
        # The lock is reentrant, because defer compares arguments, and their __eq__ may call defer.
        self.changed = threading.Condition(threading.RLock())
        self.calls: Deque[Call] = deque()
        # a heap of (time, id, timer) with each timer at most once
        self.due: List[Tuple[float, int, Timer]] = []
        self.thread: Optional[threading.Thread] = None
        self.ending = False

    def wake(self) -> None:
        """The caller must hold ``changed``."""
        if self.thread is None:
            thread = threading.Thread(target=self.run, name="fapws-later", daemon=True)
            thread.start()
            self.thread = thread
        self.changed.notify()

    def schedule(self, timer: Timer) -> None:
        if not timer._scheduled:
            timer._scheduled = True
            heapq.heappush(self.due, (timer._at, id(timer), timer))

    def next_timer(self) -> Optional[Timer]:
        """Returns the next timer that is due, or None."""
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            timer = heapq.heappop(self.due)[2]
            timer._scheduled = False
            if not timer.active:
                continue
            if timer._at > now:  # restart() has set a later time
                self.schedule(timer)
                continue
            timer._at = max(timer._at + timer.seconds, now)
            self.schedule(timer)
            return timer
        return None

    def run(self) -> None:
        timers_turn = True
        while True:
            with self.changed:
                timer = self.next_timer() if timers_turn or not self.calls else None
                timers_turn = timer is None  # alternate between timers and deferred calls
                if timer is None and not self.calls:
                    if self.ending:
                        return
                    self.changed.wait(
                        min(self.due[0][0] - time.monotonic(), threading.TIMEOUT_MAX) if self.due else None
                    )
                    continue
                call = self.calls.popleft() if timer is None else (timer.function, timer.args, timer.kwargs)
            _run("timer" if timer else "deferred call", call)
            del call, timer  # release the function and its arguments before the thread waits

    def finish(self) -> None:
        """Runs the remaining calls after the server has stopped serving."""
        with self.changed:
            self.ending = True
            self.due.clear()
            thread = self.thread
            self.changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()


def _run(what: str, call: Call) -> None:
    function, args, kwargs = call
    try:
        function(*args, **kwargs)
    except BaseException as error:  # including SystemExit, which would end only this thread and not the server
        name = getattr(function, "__qualname__", type(function).__qualname__)
        try:
            from fapws._failure import log

            log("error", f"error in {what} {name}", error=error)
        except Exception:
            pass


class Timer:
    """A function that is called again and again; see :func:`timer`.

    Calling the timer calls the function, so a decorated function can be used as before. Any thread may use it.
    """

    #: Whether the timer will call its function.
    active = False

    _scheduled = False
    _at = 0.0

    def __init__(self, seconds: float, function: Function, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> None:
        if not hasattr(seconds, "__float__"):
            raise TypeError(f"timer: seconds must be a number, not {seconds!r}")
        if not seconds > 0:
            raise ValueError(f"timer: seconds must be a number above 0, not {seconds!r}")
        if not callable(function):
            raise TypeError(f"timer: {function!r} cannot be called")
        self.seconds = float(seconds)
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", "timer")
        self.restart()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def stop(self) -> None:
        """Stops the calls until :meth:`restart`. A running call continues."""
        self.active = False

    def restart(self) -> None:
        """Starts the timer again from the beginning: the next call comes after ``seconds``."""
        runner = _runner
        with runner.changed:
            if runner.ending:
                return
            self.active = True
            self._at = time.monotonic() + self.seconds
            runner.schedule(self)
            runner.wake()


def defer(function: Function, *args: Any, unique: bool = False, **kwargs: Any) -> bool:
    """Calls ``function(*args, **kwargs)`` soon, after the calls deferred before it, on another thread.

    unique -- do nothing if the same function with equal arguments is already waiting

    Returns whether the call was added. RuntimeError: 100,000 calls are waiting. TypeError: function cannot be called.
    Any thread may call it.
    """
    if not callable(function):
        raise TypeError(f"defer: {function!r} cannot be called")
    runner = _runner
    call = (function, args, kwargs)
    with runner.changed:
        if unique and call in tuple(runner.calls):
            return False
        if len(runner.calls) >= MOST_WAITING:
            raise RuntimeError(f"defer: queue full: {MOST_WAITING} calls are waiting")
        if runner.ending and (runner.thread is None or not runner.thread.is_alive()):
            raise RuntimeError("defer: the server has stopped")
        runner.calls.append(call)
        try:
            runner.wake()
        except BaseException:
            runner.calls.pop()
            raise
    return True


def defer_queue_size() -> int:
    """Returns the number of waiting deferred calls. Any thread may call it."""
    return len(_runner.calls)


if TYPE_CHECKING:

    @overload
    def timer(seconds: float) -> Callable[[Function], Timer]: ...
    @overload
    def timer(seconds: float, function: Function, *args: Any, **kwargs: Any) -> Timer: ...


def timer(seconds: float, function: Optional[Function] = None, *args: Any, **kwargs: Any) -> Any:
    """Calls ``function(*args, **kwargs)`` every ``seconds``, the first time after ``seconds``.

    Returns a :class:`Timer` with ``stop()`` and ``restart()``. Without a function it is a decorator: ``@timer(5)``. A
    call that takes longer than ``seconds`` delays the next one; calls do not accumulate.
    """
    if function is None:
        return lambda decorated: Timer(seconds, decorated, args, kwargs)
    return Timer(seconds, function, args, kwargs)


def add_timer(seconds: float, function: Function, *args: Any, **kwargs: Any) -> Timer:
    """Same as :func:`timer`, under the name of fapws3. Returns the argument for stop_timer and restart_timer. Any
    thread may call it."""
    return Timer(seconds, function, args, kwargs)


def stop_timer(timer: Timer) -> None:
    """Stops a timer, as :meth:`Timer.stop` does. Any thread may call it."""
    timer.stop()


def restart_timer(timer: Timer) -> None:
    """Starts a timer again from the beginning, as :meth:`Timer.restart` does. Any thread may call it."""
    timer.restart()


_runner = _Runner()


def _finish() -> None:
    _runner.finish()


def _in_child() -> None:
    global _runner
    for _, _, of_parent in _runner.due:
        of_parent.active = of_parent._scheduled = False
    _runner = _Runner()


atexit.register(_finish)
os.register_at_fork(after_in_child=_in_child)
