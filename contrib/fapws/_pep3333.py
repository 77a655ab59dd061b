"""Warnings about a WSGI application that violates PEP 3333, because other servers may reject such an application. What
this server rejects is an error, and no warning.

The executable imports this module only with --dev. """
from __future__ import annotations

import io
import re
import sys
from wsgiref.util import is_hop_by_hop

from fapws._arguments import definition
from fapws._failure import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any, Callable, Iterator, Optional, Set, Tuple

__all__ = ["checked"]

_STATUS = re.compile(r"\d\d\d [^\x00-\x1f\x7f]*")
_DATA = (str, bytes, bytearray, memoryview)
_FILE = (lambda: None).__code__.co_filename  # of this module


def checked(application: Callable[..., Any]) -> Callable[..., Any]:
    """Returns an application that checks the calls and results of application without changing them.

    Each kind of violation is logged once for each line that violates PEP 3333. Any thread may call the result.
    """
    warned: Set[Tuple[str, str]] = set()

    def served(environ: Any, start_response: Any) -> Any:
        call = _Call(application, environ, warned)
        try:
            result = application(environ, _Start(start_response, call))
        except BaseException as error:
            _end_at_call(error)
            raise
        return call.checked(result)

    return served


class _Call:
    """A request, whose checks log violations of PEP 3333."""

    def __init__(self, application: Any, environ: Any, warned: Set[Tuple[str, str]]) -> None:
        self.application, self.environ, self.warned = application, environ, warned
        self.started = ""

    def warn(self, kind: str, text: str, place: str = "") -> None:
        place = place or self.started or self.definition()
        if (kind, place) not in self.warned:
            self.warned.add((kind, place))
            line = f"{place}: {text}; other servers may fail (PEP 3333, logged once)"
            log("warning", line, self.environ["wsgi.errors"])

    def definition(self) -> str:
        code = definition(self.application)
        return _place(code, code.co_firstlineno) if code else type(self.application).__name__

    def checked(self, result: Any) -> Any:
        """Checks the result of an application. Returns the result or, for an iterable, a wrapper that checks each item
        that the iterable yields."""
        if type(result).__module__ == "_fapws":  # an object of fapws, such as a file to send
            return result
        if isinstance(result, (list, tuple)):
            for item in result:
                self.item(item)
            self.end()
        elif isinstance(result, _DATA):
            self.warn("result", f"the result is {_a(result)}; it must be an iterable of bytes, such as [b'text']")
            self.end()
        elif isinstance(result, dict):
            self.warn(
                "result",
                "the result is a dict, which is sent as JSON; it must be an iterable of bytes, such as"
                " [json.dumps(result).encode()]",
            )
            self.end()
        elif hasattr(result, "read"):  # The server reads a file without calling its iterator.
            if isinstance(result, io.TextIOBase):
                self.warn("item", "the result is a file of text; it must be opened in binary mode")
            self.end()
        elif hasattr(type(result), "__len__") and hasattr(type(result), "__iter__"):
            return _SizedBody(result, self)
        elif hasattr(type(result), "__iter__") or hasattr(type(result), "__getitem__"):
            return _Body(result, self)
        return result

    def item(self, item: Any, place: str = "") -> None:
        if isinstance(item, _DATA) and not isinstance(item, bytes):
            self.warn("item", f"an item of the body is {_a(item)}; it must be bytes", place)

    def end(self) -> None:
        # A WebSocket library does not call start_response, but responds through the client's socket.
        if not self.started and "HTTP_UPGRADE" not in self.environ:
            self.warn("start", "start_response was not called; it must be called before the first item of the body")


class _Start:
    """Replaces start_response for a request, and has the same attributes."""

    def __init__(self, start: Any, call: _Call) -> None:
        vars(self).update(_start=start, _call=call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._start, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._start, name, value)

    def __call__(self, *args: Any, **keywords: Any) -> Callable[[Any], Any]:
        call: _Call = self._call
        call.started = place = _caller()
        write = self._start(*args, **keywords)
        if keywords:
            call.warn(
                "keywords", f"start_response is called with {', '.join(keywords)}=; its arguments must be positional",
                place,
            )
        given = dict(zip(("status", "headers"), args), **keywords)
        if "status" in given:
            _check_status(call, given["status"], place)
        if "headers" in given:
            _check_headers(call, given["headers"], place)

        def checked_write(data: Any) -> Any:
            write(data)
            if not isinstance(data, bytes):
                call.warn("write", f"write() is called with {_a(data)}; it must be bytes", _caller())

        return checked_write


def _check_status(call: _Call, status: Any, place: str) -> None:
    if not isinstance(status, str):
        call.warn("status", f"the status is {status!a:.50}, {_a(status)}; it must be a str such as '200 OK'", place)
    elif not _STATUS.fullmatch(status):
        call.warn("status", f"the status is {status!a}; it must have the form '200 OK'", place)


def _check_headers(call: _Call, headers: Any, place: str) -> None:
    if type(headers) is not list:
        call.warn("headers", f"the headers are {_a(headers)}; they must be a list", place)
    for pair in headers if isinstance(headers, (list, tuple)) else ():
        if type(pair) is not tuple:
            call.warn("header", f"a header is {_a(pair)}; it must be a tuple (name, value)", place)
        name = pair[0] if isinstance(pair, (list, tuple)) and pair else None
        if isinstance(name, str) and is_hop_by_hop(name):  # The server itself rejects names that are not str.
            call.warn("hop", f"the header {name!a} is about the connection and belongs to the server", place)


class _Body:
    """Replaces the result of an application, and checks its items while the server iterates."""

    def __init__(self, result: Any, call: _Call) -> None:
        self._result, self._call = result, call

    def __iter__(self) -> Iterator[Any]:
        self._iterator = iter(self._result)
        return self

    def __next__(self) -> Any:
        try:
            item = next(self._iterator, self)  # self marks the end of the iterator
        except BaseException as error:
            _end_at_call(error)
            raise
        self._call.end()
        if item is self:
            raise StopIteration
        self._call.item(item, _at(self._iterator))
        return item

    def close(self) -> None:
        if hasattr(self._result, "close"):
            self._result.close()


class _SizedBody(_Body):
    def __len__(self) -> int:
        return len(self._result)


def _end_at_call(error: BaseException) -> None:
    """Removes the frame of this module from the end of a traceback, so that the traceback ends where the application
    has called start_response or write."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        if not frame.tb_next.tb_next and frame.tb_next.tb_frame.f_code.co_filename == _FILE:
            frame.tb_next = None
        frame = frame.tb_next


def _a(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _place(code: CodeType, line: Optional[int]) -> str:
    return f"{code.co_filename}, line {line}, in {code.co_name}"


def _caller() -> str:
    """Returns the line of the handler that has called a method of this module, directly or indirectly. The handler is
    the function that has environ as an argument."""
    first = sys._getframe(2)
    frame: Optional[FrameType] = first
    while frame and frame.f_code.co_filename != _FILE:
        code, known = frame.f_code, frame.f_locals
        arguments = [known.get(name) for name in code.co_varnames[: code.co_argcount]]
        if any(isinstance(argument, dict) and "REQUEST_METHOD" in argument for argument in arguments):
            return _place(code, frame.f_lineno)
        frame = frame.f_back
    return _place(first.f_code, first.f_lineno)


def _at(iterator: Any) -> str:
    """Returns the line of the yield at which a generator is suspended, or "" for an iterator that is not a
    generator."""
    while getattr(getattr(iterator, "gi_yieldfrom", None), "gi_frame", None):
        iterator = iterator.gi_yieldfrom
    frame = getattr(iterator, "gi_frame", None)
    return _place(frame.f_code, frame.f_lineno) if frame else ""
