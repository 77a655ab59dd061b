"""The stream wsgi.errors (PEP 3333, "Input and Error Streams") for a host with its own error log, and for the server's
error log if it consists of objects.

The executable creates a stream for each such log after the application was loaded.
"""
from __future__ import annotations

import atexit
import io
import os
from threading import get_ident

import _fapws

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

__all__ = ["ErrorLog"]

#: Maximum number of characters of an incomplete line that the stream keeps until the end of the line.
_MOST_BEGUN = 8192


class ErrorLog(io.TextIOBase):
    """A text stream that encodes as UTF-8 and escapes unencodable characters with backslashes, like stderr.

    Any thread may write. The text of a call is not mixed with other texts. A line that a thread writes in pieces, as
    ``print`` does, is held until its end, ``flush()`` or the end of the process. Writing never raises an exception.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, number: int) -> None:
        self._number = number
        self._begun: Dict[int, str] = {}  # incomplete lines by thread identifier
        atexit.register(self._flush_all)
        os.register_at_fork(after_in_child=self._begun.clear)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors.write() takes a str, not {type(text).__name__}")
        me = get_ident()
        line = self._begun.pop(me, "") + text
        end = line.rfind("\n") + 1
        if len(line) - end > _MOST_BEGUN:
            end = len(line)
        if end < len(line):
            self._begun[me] = line[end:]
        if end:
            _fapws.error_lines(self._number, line[:end])
        return len(text)

    def flush(self) -> None:
        """Writes the incomplete line of the calling thread."""
        begun = self._begun.pop(get_ident(), "")
        if begun:
            _fapws.error_lines(self._number, begun)

    def close(self) -> None:
        """Does not close the stream, because other code uses it, too."""
        self.flush()

    def _flush_all(self) -> None:
        while self._begun:
            _fapws.error_lines(self._number, self._begun.popitem()[1] + "\n")
