"""Uploads that the server stores as they arrive (``fapws.upload``)."""
from __future__ import annotations

import os

from fapws._errors import HTTPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Generator, Iterable, List, Optional, Tuple, Union

__all__ = ["Upload", "UploadedFile", "upload"]

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class UploadedFile:
    """A file that was stored.

    path         -- where it is; ``""`` if it was written to a descriptor
    name         -- name from the client, without directories; if the client gives no name, the name in the fixed path
    size         -- in bytes
    sha256       -- SHA-256 digest, in hexadecimal digits
    content_type -- as the client gives it; ``""`` if none
    field        -- name of its field in a form; ``""`` if the file was the whole body
    """

    def __init__(self, path: str, name: str, size: int, sha256: str, content_type: str, field: str) -> None:
        self.path = path
        self.name = name
        self.size = size
        self.sha256 = sha256
        self.content_type = content_type
        self.field = field

    def __repr__(self) -> str:
        return f"<UploadedFile {self.name!r}, {self.size} bytes>"


class Upload:
    """A finished upload, ``environ["fapws.upload"]``.

    id     -- the id in the events about the progress of the upload
    files  -- list of UploadedFile, at least one, in the order sent
    fields -- of a form: name to list of str, in the order sent
    """

    def __init__(self, id: str, files: List[UploadedFile], fields: Dict[str, List[str]]) -> None:
        self.id = id
        self.files = files
        self.fields = fields

    @property
    def file(self) -> UploadedFile:
        """The first file."""
        return self.files[0]

    def field(self, name: str, default: str = "") -> str:
        """Returns the first value of a field."""
        return self.fields.get(name, [default])[0]

    def __repr__(self) -> str:
        return f"<Upload {self.files!r}>"


class upload:
    """Stores files that clients send: ``PATHS = [("/firmware", fapws.upload("/data/firmware.bin", flash))]``.

    The server writes a body while it arrives, without Python: to a temporary file, which gets its name when it is
    complete, its digest is right, and it is on the disk. An upload that is interrupted leaves no file.

    to         -- a directory, in which clients choose the names; the path of a file; a block device or FIFO; or a
                  descriptor (int). A relative path starts at the working directory of fapws. Or a generator function,
                  which gets the bytes itself, for example to write flash memory in blocks
    handler    -- called as ``handler(environ, start_response)`` with ``environ["fapws.upload"]``, an Upload, when all
                  files are stored. It may be ``async``. An ASGI application gets the Upload in
                  ``scope["fapws.upload"]``. None: the server answers 201 with a list of the files in JSON
    piece_size -- bytes of the pieces that a generator function gets; the last one may have fewer
    max_size   -- of the files of one request: bytes, or a text such as "64M"; None: the space on the disk
    sync       -- "end": the file is on the disk before it gets its name; a number of bytes, or a text such as "4M":
                  also each time that this number has arrived, which keeps the memory for a slow disk small; "none":
                  whenever the system writes the file
    replace    -- a file may replace a file with the same name; otherwise the client gets 409
    mode       -- permissions of files
    channel    -- channel that events about progress are published to; their data is JSON; "": none
    resumable  -- clients may also use the protocol tus, and continue an upload that was interrupted; not for devices
                  and descriptors
    expires    -- seconds after which a resumable upload is removed if its client does not continue it
    max_active -- uploads at the same time, half of which one client (user or address) may have; others get 503
    origins    -- pages that may upload, in addition to those of the same host: "https://example.org"; "*": all

    A generator function is called with an UploadedFile (size is -1 if the client does not tell), and gets the bytes
    from ``yield``, on any thread, one upload at a time in each process: pieces of piece_size, and then None. If the
    upload is interrupted, ``yield`` raises GeneratorExit instead. If the generator function raises an exception, the
    upload ends, and the client gets the same response as after an exception in a handler::

        def flash(file):
            with open("/dev/mtd3", "wb", buffering=0) as mtd:
                while True:
                    piece = yield
                    if piece is None:
                        break
                    mtd.write(piece)

    GET answers with the progress of uploads in JSON. The server reads the arguments once, at startup.
    TypeError, ValueError: wrong argument.
    """

    def __init__(
        self,
        to: Union[str, int, os.PathLike[str], Callable[[UploadedFile], Generator[None, Optional[bytes], None]]],
        handler: Optional[Callable[..., Any]] = None,
        *,
        piece_size: Union[int, str] = "128K",
        max_size: Union[int, str, None] = "1G",
        sync: Union[int, str] = "end",
        replace: bool = True,
        mode: int = 0o644,
        channel: str = "",
        resumable: bool = True,
        expires: float = 86400,
        max_active: int = 16,
        origins: Union[str, Iterable[str]] = (),
    ) -> None:
        if handler is not None:
            kind, handler = _called(handler)
            if kind is not upload:
                # Set the class here, because a method __new__ would hide the arguments from help().
                self.__class__ = kind
                self.app = handler  # module fapws._framework looks for a framework in this attribute
            # Log lines about the upload show this name.
            self.__module__ = getattr(handler, "__module__", None) or type(handler).__module__
            self.__qualname__ = f"upload({getattr(handler, '__qualname__', type(handler).__qualname__)})"
        self.handler = handler
        self._rule: Dict[str, Any] = {
            "path": "",
            "descriptor": -1,
            "pieces": 0,
            "max_size": 0 if max_size is None else _size("max_size", max_size),
            "max_active": _whole("max_active", max_active),
            "sync": {"none": -1, "end": 0}[sync] if sync in ("none", "end") else _size("sync", sync),
            "replace": bool(replace),
            "mode": _mode(mode),
            "channel": _channel(channel),
            "resumable": bool(resumable),
            "expires": _nanoseconds(expires),
            "hands_on": handler is not None,
            "key": _key(),
            "origins": _origins(origins),
        }
        self._consumer = to if callable(to) else None
        self._running: Dict[str, Generator[None, Optional[bytes], None]] = {}  # running generators by upload id
        if self._consumer is not None:
            _check_consumer(to)
            if type(self) is not upload:
                raise TypeError(
                    "upload: the handler of a generator function must not be async: both run on the same threads"
                )
            self._rule["pieces"] = _size("piece_size", piece_size)
            self._rule["hands_on"] = True
        elif isinstance(to, int) and not isinstance(to, bool):
            if to < 0:
                raise ValueError(f"upload: {to} is not a descriptor")
            self._rule["descriptor"] = to
        else:
            self._rule["path"] = _path(to)

    def __repr__(self) -> str:
        to = self._consumer or self._rule["path"] or self._rule["descriptor"]
        return f"upload({to!r}, {self.handler!r})" if self.handler else f"upload({to!r})"

    @property
    def _fapws_upload(self) -> str:
        """The options of the upload as JSON, which the server reads."""
        from json import dumps

        return dumps(self._rule)

    def __call__(self, environ: Dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Called by the server when an upload is complete, with a description of the upload as the request body."""
        given, piece = self._given(environ["wsgi.input"].read())
        if "op" in given:
            try:
                self._consume(given, piece)
            except HTTPError as error:
                start_response(f"{error.status} {error.reason}", [("Content-Type", "text/plain; charset=utf-8")])
                return [error.text.encode("utf-8", "replace")]
            start_response("204 No Content", [])
            return []
        environ["fapws.upload"] = self._finished(given)
        if self.handler is None:
            from json import dumps

            start_response("201 Created", [("Content-Type", "application/json")])
            return [dumps(given).encode() + b"\n"]
        if "status" in given:
            start = BareStart(start_response)
            return start.finish(self.handler(environ, start), given["status"])
        return self.handler(environ, start_response)

    def _given(self, body: bytes) -> Tuple[Dict[str, Any], bytes]:
        """Parses a body from the server: returns the description in its first line, and the piece of a file after that
        line."""
        from json import loads

        line, _, piece = body.partition(b"\n")
        given: Dict[str, Any] = {}
        # Only the server knows the key, so a body without the key comes from a client.
        if self._rule["key"].encode() in line:
            given = loads(line)
        if given.pop("key", "") != self._rule["key"]:
            raise RuntimeError(
                "upload: only the server may call it: put it into PATHS, and checks into its handler or into rules of"
                " fapws.toml"
            )
        return given, piece

    def _finished(self, given: Dict[str, Any]) -> Upload:
        return Upload(given["id"], [_file(file) for file in given["files"]], given.get("fields") or {})

    def _consume(self, given: Dict[str, Any], piece: bytes) -> None:
        """Runs the generator for an upload up to its next yield."""
        op, id = given["op"], given["id"]
        if op == "begin":
            assert self._consumer is not None
            running = self._consumer(_file(given["file"]))
            next(running)
            self._running[id] = running
        elif op == "piece":
            try:
                self._running[id].send(piece)
            except StopIteration:
                raise RuntimeError(f"upload: {self._consumer!r} has ended before it got None") from None
        elif id in self._running:
            running = self._running.pop(id)
            try:
                if op == "end":
                    running.send(None)
            except StopIteration:
                pass
            running.close()


def _key() -> str:
    """Returns a random key that proves that a description comes from the server."""
    return os.urandom(16).hex()


def _file(given: Dict[str, Any]) -> UploadedFile:
    return UploadedFile(
        given.get("path", ""), given["name"], given["size"], given["sha256"], given.get("type", ""),
        given.get("field", ""),
    )


_REASONS = {201: "201 Created", 204: "204 No Content"}


class BareStart:
    """Replaces start_response for a client that uses the protocol tus. If the handler succeeds, such a client expects
    the status that the protocol prescribes, and no body."""

    def __init__(self, start_response: Callable[..., Any]) -> None:
        self._start_response = start_response
        self.given: Any = ("200 OK", [])

    def __call__(self, *given: Any) -> Callable[[bytes], None]:
        self.given = given
        return lambda data: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._start_response, name)

    def finish(self, result: Any, status: int) -> Any:
        # Run a generator to its end, because it calls start_response only when it runs.
        if hasattr(result, "__next__"):
            result = list(result)
        if not str(self.given[0]).startswith("2"):
            self._start_response(*self.given)
            return result
        if hasattr(result, "close"):
            result.close()
        self._start_response(
            _REASONS[status], [field for field in self.given[1] if not field[0].lower().startswith("content-")]
        )
        return []


def _called(handler: Any) -> Tuple[type, Any]:
    """Returns (class, object to call). The class is upload or a subclass for async handlers or ASGI applications."""
    from fapws._arguments import misfit
    from fapws._kinds import kind_of

    if not callable(handler):
        raise TypeError(
            f"upload: handler must be a function (environ, start_response) or an ASGI application, not {handler!r}"
        )
    kind, called = kind_of(handler)
    problem = "" if kind == "asgi" else misfit(handler, "environ", "start_response")
    if problem:
        raise TypeError(f"upload: {problem}")
    code = getattr(handler, "__code__", None) or getattr(getattr(type(handler), "__call__", None), "__code__", None)
    if getattr(code, "co_flags", 0) & 0x200:  # inspect.CO_ASYNC_GENERATOR
        raise TypeError("upload: handler must not be an async generator: return the response")
    if kind == "wsgi":
        return upload, handler
    from fapws._upload_async import ASGIUpload, AsyncUpload

    return (ASGIUpload if kind == "asgi" else AsyncUpload), called


def _check_consumer(to: Any) -> None:
    from fapws._arguments import misfit

    code = getattr(to, "__code__", None)
    if not getattr(code, "co_flags", 0) & 0x20:  # inspect.CO_GENERATOR
        raise TypeError(f"upload: to must be a path, a descriptor or a generator function, not {to!r}")
    problem = misfit(to, "file")
    if problem:
        raise TypeError(f"upload: {problem}")


def _path(to: Any) -> str:
    try:
        text = os.fspath(to)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(f"upload: to must be a path or a descriptor, not {to!r}")
    if not text or "\0" in text:
        raise ValueError(f"upload: not a path: {text!r}")
    return text


def _size(name: str, given: Any) -> int:
    value = given
    if isinstance(given, str):
        digits, unit = (given[:-1], _UNITS.get(given[-1:].upper(), 0)) if given[-1:].isalpha() else (given, 1)
        if not unit or not digits.isdecimal():
            raise ValueError(f'upload: {name} must be bytes such as 1048576 or "64M", not {given!r}')
        value = int(digits) * unit
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'upload: {name} must be bytes such as 1048576 or "64M", not {given!r}')
    if not 0 < value < 1 << 62:
        raise ValueError(f"upload: {name} must be above 0, not {given!r}")
    return value


def _whole(name: str, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"upload: {name} must be a number, not {given!r}")
    if not 0 < given <= 1000:
        raise ValueError(f"upload: {name} must be 1 to 1000, not {given!r}")
    return given


def _nanoseconds(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError(f"upload: expires must be a number of seconds, not {given!r}")
    if not 0 < given <= 366 * 86400:
        raise ValueError(f"upload: expires must be above 0 and at most a year, in seconds, not {given!r}")
    return max(1, int(given * 10**9))


def _mode(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"upload: mode must be a number such as 0o644, not {given!r}")
    if not 0 < given <= 0o777:
        raise ValueError(f"upload: mode must be 0o1 to 0o777, not {given:#o}")
    return given


def _channel(given: Any) -> str:
    if given != "":
        from fapws._channels import _check

        _check("upload", given)
    return given


def _origins(given: Union[str, Iterable[str]]) -> List[str]:
    origins = [given] if isinstance(given, str) else list(given)
    for origin in origins:
        if not isinstance(origin, str):
            raise TypeError(f"upload: origins must be texts, not {origin!r}")
        if origin != "*" and (not origin.startswith(("http://", "https://")) or origin.count("/") != 2):
            raise ValueError(f'upload: an origin is a scheme and a host, such as "https://example.org", not {origin!r}')
    return origins
