"""A line for each call of a handler: ``@Log()`` before it (as users of fapws3 know it)::

    from fapws.contrib.log import Log

    @Log()
    def page(environ, start_response): ...

The server's own access log (``--access-log``) has all requests, costs less, and is rotated; this
one is for some handlers only, or for a log that the script itself takes care of.
"""
from __future__ import annotations

import os
import sys
from time import gmtime, time

from fapws._cookies import _MONTHS
from fapws.contrib._recorder import Recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, TextIO

    Handler = Callable[[Dict[str, Any], Any], Any]

__all__ = ["Log"]


class Log:
    """A decorator that writes a line in Apache's format "combined" for each call of a handler.

    output -- a text file; None: standard output. The file is flushed after each line, and a line is one write()

    The size is that of the body before compression by the server, or "-" for an iterator. Times are in GMT. A handler
    that raises gets no line, because the server reports it.
    """

    def __init__(self, output: Optional[TextIO] = None) -> None:
        self.output = output

    def __call__(self, handler: Handler) -> Handler:
        def logged(environ: Dict[str, Any], start_response: Any) -> Any:
            head = Recorder()
            result = handler(environ, head)
            head.send(start_response)
            output = self.output or sys.stdout
            output.write(_line(environ, head.status_code, _size(result, head)))
            output.flush()
            return result

        logged.__name__ = getattr(handler, "__name__", "logged")
        logged.__doc__ = handler.__doc__
        return logged


def _line(environ: Dict[str, Any], status: int, size: str) -> str:
    now = gmtime(time())
    date = (
        f"{now.tm_mday:02}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year}:{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        " +0000"
    )
    target = environ.get("REQUEST_URI") or environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    request = f"{environ['REQUEST_METHOD']} {target} {environ['SERVER_PROTOCOL']}"
    referer, agent = environ.get("HTTP_REFERER", "-"), environ.get("HTTP_USER_AGENT", "-")
    user = environ.get("REMOTE_USER") or "-"
    host = environ.get("REMOTE_ADDR") or "-"
    return (
        f'{_quoted(host)} - {_quoted(user)} [{date}] "{_quoted(request)}" {status} {size} "{_quoted(referer)}"'
        f' "{_quoted(agent)}"\n'
    )


def _quoted(text: str) -> str:
    """Returns text escaped as in Apache's logs, so that a client's text can end neither the line nor the quotation
    marks."""
    if text.isprintable() and text.isascii() and '"' not in text and "\\" not in text:
        return text
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif " " <= char <= "~":
            out.append(char)
        else:
            out.extend(f"\\x{byte:02x}" for byte in char.encode("latin-1", "backslashreplace"))
    return "".join(out)


def _size(result: Any, head: Recorder) -> str:
    length = head.get("content-length")
    if length:
        return length
    pieces = [result] if isinstance(result, (str, bytes)) else result
    if isinstance(pieces, (list, tuple)):
        return str(sum(
            len(piece.encode("utf-8") if isinstance(piece, str) else piece) for piece in list(pieces) + head.written
        ))
    try:
        return str(os.fstat(pieces.fileno()).st_size)
    except (AttributeError, OSError, TypeError, ValueError):
        return "-"
