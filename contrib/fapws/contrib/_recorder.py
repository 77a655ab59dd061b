"""Tools for decorators of handlers that change a response before it is sent."""
from __future__ import annotations

from http import HTTPStatus
from itertools import chain, islice

from fapws.base import Start_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator, List, Optional, Tuple

__all__ = ["Recorder"]


class Recorder(Start_response):
    """Replaces a handler's start_response, and sends nothing before send().

    If a generator calls start_response after send(), before it yields its first piece, the call is passed on to the
    server.
    """

    def __init__(self) -> None:
        super().__init__()
        self.line = ""
        self.written: List[bytes] = []
        self.target: Optional[Callable[..., Callable[[bytes], object]]] = None

    def __call__(
        self, status: str, response_headers: Iterable[Tuple[str, str]], exc_info: Optional[Tuple[Any, Any, Any]] = None
    ) -> Callable[[bytes], object]:
        if self.target is not None:
            return self.target(status, response_headers, exc_info)
        super().__call__(status, response_headers, exc_info)
        self.line = status
        return self.written.append

    def status(self) -> str:
        """Returns the status line, with the status that the handler may have set after start_response."""
        if self.line[:3] == str(self.status_code):
            return self.line
        try:
            return f"{self.status_code} {HTTPStatus(self.status_code).phrase}"
        except ValueError:
            return f"{self.status_code} Unknown"

    def send(self, start_response: Callable[..., Callable[[bytes], object]]) -> None:
        """Passes the status, the header fields and the written bytes to the server. If the handler has set neither a
        status nor fields, does not call start_response."""
        self.target = start_response
        if self.line or self.response_headers or self.status_code != 200:
            write = start_response(self.status(), self.response_headers)
            for piece in self.written:
                write(piece)

    def begun(self, result: Any) -> Any:
        """Returns result. Runs a generator up to its first piece, because a generator calls start_response before it
        yields this piece."""
        return _Begun(result) if not self.line and hasattr(result, "send") else result

    def get(self, name: str) -> str:
        """Returns the value of a header field, with several values joined by commas, or ""."""
        return ", ".join(value for field, value in self.response_headers if field.lower() == name)


class _Begun:
    """An iterator that has already yielded its first piece."""

    def __init__(self, pieces: Any) -> None:
        self.close: Callable[[], object] = getattr(pieces, "close", lambda: None)
        self.pieces = chain([piece for piece in islice(pieces, 1)], pieces)

    def __iter__(self) -> Iterator[Any]:
        return self.pieces
