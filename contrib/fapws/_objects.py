"""Messages of Python's library as objects of --error-log-format json.

Python writes four kinds of messages to stderr as text of several lines: exceptions that end the loading of an
application or a thread, exceptions that cannot be raised (sys.unraisablehook), and log records without a handler.
This module replaces the functions that write these messages. The application, which is loaded later, can replace
them again.
"""
from __future__ import annotations

import logging
import sys
import threading
from types import BuiltinFunctionType

from fapws._failure import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["hold", "install"]


class _Handler(logging.Handler):
    """Replaces logging.lastResort, which handles log records without a handler, such as those of asyncio about
    exceptions that were never retrieved."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = next(
                (name for least, name in ((40, "error"), (30, "warning"), (20, "info")) if record.levelno >= least),
                "debug",
            )
            text = "\n".join(filter(None, (record.getMessage(), record.stack_info)))
            log(level, text, error=(record.exc_info or (None, None))[1])
        except Exception as error:  # for example, the arguments do not match the message
            log("error", f"{record.pathname}:{record.lineno}: cannot log {record.msg!r:.500}", error=error)


def _thread(args: Any) -> None:
    if args.exc_type is not SystemExit:
        log("error", f"error in thread {args.thread.name if args.thread else ''}".rstrip(), error=args.exc_value)


def _unraisable(args: Any) -> None:
    log("error", f"{args.err_msg or 'Exception ignored in'}: {args.object!r:.500}", error=args.exc_value)


def _uncaught(kind: Any, error: Any, trace: Any) -> None:
    log("error", "uncaught exception", error=error)


def hold(error: BaseException) -> bool:
    """Make the exception that prevents the start a part of the object that the server writes about it.

    Returns False if the application has a function of its own that reports the exception.
    """
    own = sys.excepthook is not _uncaught and not isinstance(error, SystemExit)
    if not own:
        log("fatal", "", error=error)
    return not own


def install() -> None:
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _uncaught
    if isinstance(threading.excepthook, BuiltinFunctionType):
        threading.excepthook = _thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _unraisable
    if type(logging.lastResort).__module__ == "logging":
        logging.lastResort = _Handler(logging.WARNING)
