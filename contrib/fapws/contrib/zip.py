"""Compressed responses: ``@Gzip()`` before a handler (as users of fapws3 know it)::

    from fapws.contrib.zip import Gzip

    @Gzip()
    def page(environ, start_response):
        return "a long text " * 1000

The server compresses responses itself; the decorator is for a handler that chooses the level.
"""
from __future__ import annotations

import json
import zlib

from fapws.contrib._recorder import Recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, Iterator, List, Tuple

    Handler = Callable[[Dict[str, Any], Any], Any]

__all__ = ["Gzip"]

_GZIP = 16 + zlib.MAX_WBITS  # makes zlib write the header and trailer of gzip (RFC 1952)
_TEXTS = (
    "text/", "application/json", "application/javascript", "application/xml", "application/xhtml+xml", "image/svg+xml",
)


class Gzip:
    """A decorator that compresses responses of a handler, for clients that accept gzip (RFC 9110 §12.5.3).

    level   -- 1 (fast) to 9 (small)
    minimum -- minimum size in bytes of a compressed body, if the size is known

    Not compressed: responses that are not text, have Content-Encoding or Content-Range, or have no-transform in
    Cache-Control, and files, which the server sends itself. Chunks of an iterator are compressed and sent as they are
    produced. A strong ETag becomes a weak one.
    """

    def __init__(self, level: int = 6, minimum: int = 256) -> None:
        if not 1 <= level <= 9:
            raise ValueError(f"Gzip: level must be 1 to 9: {level!r}")
        self.level = level
        self.minimum = minimum

    def __call__(self, handler: Handler) -> Handler:
        def compressed(environ: Dict[str, Any], start_response: Any) -> Any:
            head = Recorder()
            result = handler(environ, head)
            if isinstance(result, dict) and not head.written:  # the server converts a dict to JSON
                result = json.dumps(result)
                if not head.get("content-type"):
                    head.add_header("Content-Type", "application/json")
            result = head.begun(result)
            if not _suits(head) or hasattr(result, "fileno"):
                head.send(start_response)
                return result
            # Add Vary to uncompressed responses, too, because they also depend on Accept-Encoding.
            if not _varies(head):
                head.add_header("Vary", "Accept-Encoding")
            if environ["REQUEST_METHOD"] == "HEAD" or not _accepts(environ.get("HTTP_ACCEPT_ENCODING", "")):
                head.send(start_response)
                return result
            fields, result = self._compress(head, result)
            start_response(head.status(), fields)
            return result

        compressed.__name__ = getattr(handler, "__name__", "compressed")
        compressed.__doc__ = handler.__doc__
        return compressed

    def _compress(self, head: Recorder, result: Any) -> Tuple[List[Tuple[str, str]], Any]:
        fields = head.response_headers
        if isinstance(result, (str, bytes)):
            result = [result]
        if isinstance(result, (list, tuple)) or result is None:
            body = b"".join(head.written + [_bytes(piece) for piece in result or ()])
            if len(body) < self.minimum:
                return fields, [body]
            packer = zlib.compressobj(self.level, zlib.DEFLATED, _GZIP)
            return _encoded(fields), [packer.compress(body) + packer.flush()]
        return _encoded(fields), _Pieces(head.written, result, self.level)


class _Pieces:
    """Yields the compressed pieces of an iterable. The server calls close(), as for any iterable from a handler."""

    def __init__(self, written: List[bytes], pieces: Iterable[Any], level: int) -> None:
        self.close: Callable[[], object] = getattr(pieces, "close", lambda: None)
        self.pieces = self._compressed(written, pieces, zlib.compressobj(level, zlib.DEFLATED, _GZIP))

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    @staticmethod
    def _compressed(written: List[bytes], pieces: Iterable[Any], packer: Any) -> Iterator[bytes]:
        for piece in written:
            yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
        for piece in pieces:
            yield packer.compress(_bytes(piece)) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield packer.flush()


def _bytes(piece: Any) -> bytes:
    return piece.encode("utf-8") if isinstance(piece, str) else bytes(piece)


def _accepts(value: str) -> bool:
    """Whether an Accept-Encoding field permits gzip (RFC 9110 §12.5.3), by its name or, if the name is missing, by
    ``*``."""
    allowed: Dict[str, bool] = {}
    for member in value.lower().split(","):
        coding, _, weight = member.partition(";")
        key, _, number = weight.strip().partition("=")
        try:
            allowed[coding.strip()] = key.strip() != "q" or float(number) > 0
        except ValueError:
            allowed[coding.strip()] = False
    return allowed.get("gzip", allowed.get("x-gzip", allowed.get("*", False)))


def _suits(head: Recorder) -> bool:
    if head.status_code in (204, 206, 304) or head.get("content-encoding") or head.get("content-range"):
        return False
    kind = head.get("content-type") or "text/html"
    return kind.lower().startswith(_TEXTS) and "no-transform" not in head.get("cache-control").lower()


def _varies(head: Recorder) -> bool:
    """Whether the response tells caches that it depends on Accept-Encoding (RFC 9110 §12.5.5)."""
    return bool({"*", "accept-encoding"} & {member.strip().lower() for member in head.get("vary").split(",")})


def _encoded(fields: List[Tuple[str, str]]) -> List[Tuple[str, str]]:
    kept = [("Content-Encoding", "gzip")]
    for name, value in fields:
        if name.lower() == "etag" and not value.startswith("W/"):
            value = "W/" + value
        if name.lower() not in ("content-length", "accept-ranges"):
            kept.append((name, value))
    return kept
