"""Forms with files: ``multipart/form-data`` (RFC 7578).

The body is read once, in blocks, and its memory is bounded: text fields
in memory, files in memory up to a size and in a temporary file beyond::

    from fapws.contrib import multipart

    def upload(environ, start_response):
        try:
            form = multipart.parse(environ)
        except ValueError as error:
            start_response("400 Bad Request", [])
            return str(error)
        with form:
            photo = form.file("photo")
            ...
"""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Callable, Dict, List, Mapping, Optional, Tuple

__all__ = ["File", "Form", "MultipartError", "parse"]

# size in bytes; small, because the rest of a block is moved in memory after each line
_BLOCK = 16 * 1024
_MOST = 20
_BOUNDARY_CHARS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'()+_,-./:=? "  # RFC 2046 §5.1.1
)


class MultipartError(ValueError):
    """The body is not a valid form, or exceeds a limit. Answer 400."""


class File:
    """An uploaded file.

    name         -- name of the form field
    filename     -- name that the client gives the file, without directories; may be empty. Never use it as a path: it
                    may be ``..``, or the name of one of your files
    content_type -- type that the client gives it; ``""`` if none
    size         -- bytes
    file         -- the content, a tempfile.SpooledTemporaryFile at its beginning
    """

    def __init__(self, name: str, filename: str, content_type: str, file: IO[bytes], size: int) -> None:
        self.name = name
        self.filename = filename
        self.content_type = content_type
        self.file = file
        self.size = size

    def __repr__(self) -> str:
        return f"<File {self.name}={self.filename!r}, {self.size} bytes>"


class Form:
    """The content of a form. Call ``close()`` or use ``with``, to remove temporary files.

    fields -- dict: name to list of str, in the order sent
    files  -- dict: name to list of File; empty file inputs are left out
    """

    def __init__(self) -> None:
        self.fields: Dict[str, List[str]] = {}
        self.files: Dict[str, List[File]] = {}

    def field(self, name: str, default: str = "") -> str:
        """Returns the first value of a field."""
        return self.fields.get(name, [default])[0]

    def file(self, name: str) -> Optional[File]:
        """Returns the first file of a field, or None."""
        return self.files.get(name, [None])[0]  # type: ignore[list-item]

    def close(self) -> None:
        for files in self.files.values():
            for file in files:
                file.file.close()

    def __enter__(self) -> Form:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def parse(
    environ: Mapping[str, Any],
    *,
    max_parts: int = 1000,
    max_field_size: int = 1024 * 1024,
    max_fields_size: int = 4 * 1024 * 1024,
    max_file_size: Optional[int] = None,
    max_file_memory: int = 256 * 1024,
    max_headers_size: int = 8 * 1024,
) -> Form:
    """Reads the form in ``environ['wsgi.input']``.

    max_parts        -- number of fields and files
    max_field_size   -- bytes of one text field, as sent
    max_fields_size  -- bytes of all text fields and names
    max_file_size    -- bytes of one file; None: limited by MAX_BODY_SIZE alone
    max_file_memory  -- bytes of a file that stay in memory
    max_headers_size -- bytes of the header of one part

    Names and texts are read as UTF-8; invalid bytes become U+FFFD.

    MultipartError: the request is not a form of this type, is cut off, breaks RFC 7578 or exceeds a limit. Temporary
    files are removed then.
    """
    source = _Source(environ["wsgi.input"], environ.get("CONTENT_LENGTH"), _boundary(environ.get("CONTENT_TYPE", "")))
    form = Form()
    text_left = max_fields_size
    try:
        source.skip_preamble()
        parts = 0
        while source.next_part():
            parts += 1
            if parts > max_parts:
                raise MultipartError("the form has too many parts")
            name, filename, content_type = _part_head(source.head(max_headers_size))
            if filename is None:
                text_left -= len(name.encode())
                value = _read_text(source, name, min(max_field_size, text_left))
                text_left -= len(value)
                form.fields.setdefault(name, []).append(value.decode("utf-8", "replace"))
            else:
                file = _read_file(source, name, filename, content_type, max_file_size, max_file_memory)
                if file is not None:
                    form.files.setdefault(name, []).append(file)
    except BaseException:
        form.close()
        raise
    return form


def _read_text(source: _Source, name: str, most: int) -> bytes:
    value = bytearray()

    def keep(block: bytes) -> None:
        if len(value) + len(block) > most:
            raise MultipartError(f"the form field {name!r} is too large")
        value.extend(block)

    source.body(keep)
    return bytes(value)


def _read_file(
    source: _Source, name: str, filename: str, content_type: str, most: Optional[int], memory: int
) -> Optional[File]:
    from tempfile import SpooledTemporaryFile

    spool = SpooledTemporaryFile(memory)
    size = 0

    def keep(block: bytes) -> None:
        nonlocal size
        size += len(block)
        if most is not None and size > most:
            raise MultipartError(f"the file {filename!r} is too large")
        spool.write(block)

    try:
        source.body(keep)
    except BaseException:
        spool.close()
        raise
    if not filename and not size:
        # browsers send this for a file input without a file
        spool.close()
        return None
    spool.seek(0)
    return File(name, filename, content_type, spool, size)


class _Source:
    """Reads the parts of a body. ``buffer`` contains bytes that were read but not yet processed."""

    def __init__(self, stream: Any, length: Optional[str], boundary: bytes) -> None:
        self.stream = stream
        # do not read beyond CONTENT_LENGTH: PEP 3333 forbids this, and some servers would wait for more bytes
        self.left = int(length) if length else None
        self.delimiter = b"\r\n--" + boundary
        # Each delimiter begins with a line end. Add the line end for the first delimiter, which no line precedes.
        self.buffer = b"\r\n"

    def fill(self) -> None:
        size = _BLOCK if self.left is None else min(_BLOCK, self.left)
        block = self.stream.read(size) if size else b""
        if not block:
            raise MultipartError("the form is truncated")
        if self.left is not None:
            self.left -= len(block)
        self.buffer += block

    def skip_preamble(self) -> None:
        self.body(lambda block: None)

    def next_part(self) -> bool:
        """Called after a delimiter. Returns False after the last delimiter."""
        while len(self.buffer) < 2:
            self.fill()
        if self.buffer.startswith(b"--"):
            return False
        # RFC 2046 §5.1.1 permits white space here
        if self.line(64, "a line after a boundary is too long").strip(b" \t"):
            raise MultipartError("a boundary of the form is followed by other data")
        return True

    def head(self, most: int) -> List[bytes]:
        """Returns the header lines of a part."""
        lines: List[bytes] = []
        while True:
            line = self.line(most, "the header of a part is too long")
            if not line:
                return lines
            if len(lines) == _MOST:
                raise MultipartError("the header of a part has too many lines")
            lines.append(line)
            most -= len(line)

    def line(self, most: int, complaint: str) -> bytes:
        start = 0
        while True:
            end = self.buffer.find(b"\r\n", start)
            if (end if end >= 0 else len(self.buffer) - 1) > most:
                raise MultipartError(complaint)
            if end >= 0:
                line, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
                if b"\n" in line or b"\r" in line or b"\0" in line:
                    raise MultipartError("a control character in the header of a part")
                return line
            start = max(0, len(self.buffer) - 1)
            self.fill()

    def body(self, keep: Callable[[bytes], None]) -> None:
        """Passes the bytes before the next delimiter to the function ``keep``, and skips the delimiter."""
        while True:
            at = self.buffer.find(self.delimiter)
            if at >= 0:
                keep(self.buffer[:at])
                self.buffer = self.buffer[at + len(self.delimiter) :]
                return
            # The last bytes may be the beginning of a delimiter.
            safe = len(self.buffer) - len(self.delimiter) + 1
            if safe > 0:
                keep(self.buffer[:safe])
                self.buffer = self.buffer[safe:]
            self.fill()


def _boundary(content_type: str) -> bytes:
    media_type, params = _header_value(content_type)
    if media_type != "multipart/form-data":
        raise MultipartError(f"not a multipart form: {content_type[:80]!r}")
    boundary = params.get("boundary", "")
    if not 1 <= len(boundary) <= 70 or boundary.endswith(" ") or not _BOUNDARY_CHARS.issuperset(boundary):
        raise MultipartError("the form has no valid boundary")
    return boundary.encode("ascii")


def _part_head(lines: List[bytes]) -> Tuple[str, Optional[str], str]:
    """Returns name, filename (None for a text field) and content type of a part."""
    fields: Dict[str, str] = {}
    for line in lines:
        key, colon, value = line.decode("utf-8", "replace").partition(":")
        key = key.lower()
        if not colon or not key or key != key.strip():
            raise MultipartError("a header line of a part is malformed")
        if key in fields:
            raise MultipartError(f"a part has two headers {key!r}")
        fields[key] = value.strip(" \t")
    disposition, params = _header_value(fields.get("content-disposition", ""))
    if disposition != "form-data" or "name" not in params:
        raise MultipartError("a part has no field name")
    # reject this field, which RFC 7578 §4.7 deprecates, because base64 would be stored undecoded
    if fields.get("content-transfer-encoding", "binary").lower() not in ("7bit", "8bit", "binary"):
        raise MultipartError("a part has a transfer encoding")
    filename = params.get("filename")
    if filename is not None:
        # omit the directory that some clients send (RFC 7578 §4.2)
        filename = filename.replace("\\", "/").rpartition("/")[2]
    return params["name"], filename, fields.get("content-type", "")


def _header_value(text: str) -> Tuple[str, Dict[str, str]]:
    """Parses a header value: ``form-data; name="a"`` gives ("form-data", {"name": "a"}). In quotes, browsers write a
    quote as %22 and leave backslashes alone (HTML, "multipart/form-data encoding algorithm"), other clients write a
    quote as ``\\"``."""
    value, _, rest = text.partition(";")
    params: Dict[str, str] = {}
    while rest.strip():
        name, equals, rest = rest.partition("=")
        name = name.strip().lower()
        if not equals or not name or name in params or len(params) == _MOST:
            raise MultipartError("a parameter of a header is malformed")
        if rest.lstrip(" \t").startswith('"'):
            params[name], rest = _quoted(rest.lstrip(" \t")[1:])
        else:
            word, _, rest = rest.partition(";")
            params[name] = word.strip()
    return value.strip().lower(), params


def _quoted(text: str) -> Tuple[str, str]:
    """Returns the string up to the closing quote, and the text after the next ";"."""
    at = text.find('"')
    end = text.rfind('"')
    while 0 < at < end and text[at - 1] == "\\":
        at = text.find('"', at + 1)
    rest, semicolon, tail = text[at + 1 :].partition(";")
    if at < 0 or rest.strip():
        raise MultipartError("a parameter of a header is malformed")
    return text[:at].replace('\\"', '"').replace("%22", '"'), tail
