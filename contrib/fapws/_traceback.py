"""Tracebacks for the error log.

The message of an exception may contain text from a client, which must neither reach a terminal as a control sequence
nor look like a separate line of the log.
"""
from __future__ import annotations

import traceback

from fapws._failure import bundle_lacks
from fapws._load import theirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from types import TracebackType
    from typing import Optional, Tuple, Type

__all__ = ["harmless", "parts", "report", "tame", "text"]

# Escapes for all control characters except tab and line feed.
# Other line separators, and characters that change the direction of text, are escaped, too.
_ESCAPES = {
    n: ascii(chr(n))[1:-1]
    for n in (
        *range(9), *range(11, 32), *range(127, 160), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
    )
}


def harmless(some: str) -> str:
    """Returns text with control characters escaped. All lines after the first are indented if they could look like the
    beginning of a log line."""
    first, *others = some.translate(_ESCAPES).split("\n")
    return "\n".join([first, *("  " + line if line[:1].isdigit() or line[:1] == "[" else line for line in others)])


def text(
    kind: "Optional[Type[BaseException]]", error: "Optional[BaseException]", trace: "Optional[TracebackType]"
) -> str:
    """Return a traceback in Python's format, beginning with the user's code, in which all lines of a message after the
    first are indented. If a bundle lacks a module, the last line says so."""
    lines = [*map(_piece, traceback.format_exception(kind, error, theirs(trace) or trace)), bundle_lacks(error)]
    return "".join(lines) + "\n" * bool(lines[-1])


def report(
    intro: str,
    kind: "Optional[Type[BaseException]]",
    error: "Optional[BaseException]",
    trace: "Optional[TracebackType]",
) -> str:
    """Return a line of the log with a traceback. For the journal, each line begins with the priority of the first."""
    lines = intro + text(kind, error, trace)
    return lines[:-1].replace("\n", "\n" + intro[:3]) + "\n" if intro[:1] == "<" else lines


def parts(
    kind: "Type[BaseException]", error: "Optional[BaseException]", trace: "Optional[TracebackType]"
) -> "Tuple[str, str, str]":
    """Return the type, the message and the traceback of an exception."""
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    try:
        message = str(error)
    except Exception:
        message = ""
    return name, message, text(kind, error, trace)


def _piece(piece: str) -> str:
    # A piece that begins with white space is a frame, the place of a SyntaxError, or the text between two tracebacks.
    if piece[:1].isspace():
        return harmless(piece)
    piece = piece.translate(_ESCAPES)
    piece = piece.replace("\n", "\n  ", piece.count("\n") - piece.endswith("\n"))
    return "  " + piece if piece[:1].isdigit() or piece[:1] == "[" else piece  # a note of the exception


def tame(handler: "logging.Handler") -> None:
    """Makes a logging handler escape control characters, unless it has its own formatter."""
    import logging

    class Formatter(logging.Formatter):
        def formatMessage(self, record: logging.LogRecord) -> str:
            return harmless(super().formatMessage(record))

        def formatException(self, ei: "object") -> str:
            return text(*ei).rstrip("\n")  # type: ignore[misc]

    if handler.formatter is None:
        handler.setFormatter(Formatter())
