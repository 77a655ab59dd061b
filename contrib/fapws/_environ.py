"""Environ: PEP 3333's environment with the keys of Fapws, computed on demand."""
from __future__ import annotations

TYPE_CHECKING = False  # do not import typing, which takes longer than importing this package
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List

    _Base = Dict[str, Any]
else:
    _Base = dict

__all__ = ["Environ"]


class Environ(_Base):
    """A request as a dict with the keys of PEP 3333, and with parameters, addresses and fields as sent:

    ``fapws.params``
        dict: name to list of str, the parameters of the query, then those of
        an ``application/x-www-form-urlencoded`` body, in the order sent, read
        as UTF-8. The body stays readable in ``wsgi.input``. HTTPError, 400 for
        a query and 413 for a form, if there are more than ``max_params``, and
        413 for a form of more than ``max_form`` bytes, because other threads
        wait for Python's lock while the form is decoded.
    ``fapws.remote_addr``
        str: the client's IP address, ``""`` on a unix socket.
    ``fapws.uri``
        str: path and query without host; the path percent-decoded as UTF-8.
    ``fapws.raw_path``
        str: the path as the client sent it, percent-encoded.
    ``fapws.raw_header``
        str: the request line and the header fields that the application may see, each
        with CR LF, then an empty line. Names are spelled Like-This, and repeated fields are joined.

    The first ``[]``, ``get`` or ``setdefault`` of such a key computes and stores
    its value. ``in`` always finds these keys; iteration and ``len`` include only
    the keys that are stored. Like every environ, this dict must be used only by
    the thread that runs the handler.
    """

    #: Maximum number of parameters in ``fapws.params``; a subclass may change it.
    max_params: int = 1000

    #: Maximum bytes of a URL-encoded form for ``fapws.params``.
    max_form: int = 2 << 20

    def __missing__(self, key: str) -> Any:
        compute = _COMPUTED.get(key)
        if compute is None:
            raise KeyError(key)
        value = self[key] = compute(self)
        return value

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in _COMPUTED

    def get(self, key: str, default: Any = None) -> Any:
        if super().__contains__(key) or key in _COMPUTED:
            return self[key]
        return default

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key in _COMPUTED:
            return self[key]
        return super().setdefault(key, default)

    def copy(self) -> Environ:
        """Returns a copy of the same class, so the copy also computes the keys that fapws adds."""
        new = type(self)()
        new.update(self)
        return new

    __copy__ = copy


def _params(environ: Environ) -> Dict[str, List[str]]:
    params: Dict[str, List[str]] = {}
    left = _add_fields(params, environ.get("QUERY_STRING", "").encode("latin-1"), environ.max_params, 400)
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0]
    if media_type.strip().lower() == "application/x-www-form-urlencoded":
        body = _body(environ)
        if len(body) > environ.max_form:
            raise _too_much(413, "form too large")
        _add_fields(params, body, left, 413)
    return params


def _too_much(status: int, text: str) -> Exception:
    from fapws._errors import HTTPError

    return HTTPError(status, text)


def _add_fields(params: Dict[str, List[str]], data: bytes, most: int, status: int) -> int:
    """Adds URL-encoded data to params, and returns how many more fields may be added afterwards. urllib.parse is not
    used, because importing it takes longer than importing most scripts."""
    fields = data.split(b"&", most)
    if len(fields) > most and fields.pop():
        raise _too_much(status, "too many parameters")
    for field in fields:
        if field:
            name, _, value = field.partition(b"=")
            params.setdefault(_unquote(name), []).append(_unquote(value))
    return most - len(fields)


def _unquote(data: bytes) -> str:
    data = data.replace(b"+", b" ")
    return (_percent_decode(data) if b"%" in data else data).decode("utf-8", "replace")


def _percent_decode(data: bytes) -> bytes:
    """Decodes each %XX, and leaves all other text unchanged, as the URL standard requires."""
    first, *rest = data.split(b"%")
    known: Dict[bytes, bytes] = {}  # map from two digits to their byte
    out = [first]
    for piece in rest:
        digits = piece[:2]
        byte = known.get(digits)
        if byte is None:
            byte = known[digits] = _decoded(digits)
        out.append(byte + piece[2:])
    return b"".join(out)


def _decoded(digits: bytes) -> bytes:
    """Returns the byte %XX, or the unchanged text if XX is invalid."""
    from binascii import Error, unhexlify

    try:
        return unhexlify(digits) or b"%"
    except Error:
        return b"%" + digits


def _body(environ: Environ) -> bytes:
    stream = environ["wsgi.input"]
    try:
        # the server's own input stream returns the whole body, even if the handler has read a part
        return stream.getvalue()  # type: ignore[no-any-return]
    except AttributeError:
        pass
    # A middleware has replaced the stream, so read it, and replace it by a new stream with the same bytes.
    from io import BytesIO

    data: bytes = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(data)
    return data


def _remote_addr(environ: Environ) -> str:
    return environ.get("REMOTE_ADDR", "")  # type: ignore[no-any-return]


def _uri(environ: Environ) -> str:
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # PEP 3333 decodes the bytes of the path as latin-1, but these bytes are UTF-8
    uri = path.encode("latin-1").decode("utf-8", "replace")
    query = environ.get("QUERY_STRING", "")
    return uri + "?" + query if query else uri  # type: ignore[no-any-return]


def _raw_path(environ: Environ) -> str:
    target: str = environ.get("RAW_URI", "")
    path = target.partition("?")[0]
    if path.startswith("/") or path == "*":
        return path
    # in absolute-form, http://host/path (RFC 9112 §3.2.2), the path may be missing
    _, _, rest = path.partition("://")
    _, slash, tail = rest.partition("/")
    return slash + tail or "/"


def _raw_header(environ: Environ) -> str:
    lines = [
        "%s %s %s" % (environ.get("REQUEST_METHOD", ""), environ.get("RAW_URI", ""), environ.get("SERVER_PROTOCOL", ""))
    ]
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            key = key[5:]
        elif key not in ("CONTENT_TYPE", "CONTENT_LENGTH") or not value:
            continue
        lines.append("%s: %s" % (key.replace("_", "-").title(), value))
    return "\r\n".join(lines) + "\r\n\r\n"


_COMPUTED: Dict[str, Callable[[Environ], Any]] = {
    "fapws.params": _params,
    "fapws.remote_addr": _remote_addr,
    "fapws.uri": _uri,
    "fapws.raw_path": _raw_path,
    "fapws.raw_header": _raw_header,
}
