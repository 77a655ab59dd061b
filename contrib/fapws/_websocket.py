"""WebSockets for synchronous code: ``PATHS = [('/chat', WebSocket(on_message=hear))]``."""
from __future__ import annotations

import sys
from urllib.parse import urlsplit

from fapws import _channels
from fapws._arguments import misfit
from fapws._errors import HTTPError

try:
    from fapws import _native
    from fapws._native import WebSocketConnection
# outside the server, for tests of code that creates a WebSocketConnection
except ImportError:

    class WebSocketConnection:  # type: ignore[no-redef]
        """A WebSocket as callbacks see it; only the server creates such objects."""

        def __init__(self) -> None:
            raise TypeError("only the server creates WebSocket connections")

    _native = None  # type: ignore[assignment]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, List, Mapping, Optional, Tuple, Union

    OnOpen = Callable[[WebSocketConnection], Any]
    OnMessage = Callable[[WebSocketConnection, Union[str, bytes]], Any]
    OnClose = Callable[[WebSocketConnection, int, str], Any]

__all__ = ["WebSocket", "WebSocketConnection", "broadcast"]

_COROUTINE = 0x280  # inspect.CO_COROUTINE | CO_ASYNC_GENERATOR
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")  # RFC 9110 §5.6.2
_ARGUMENTS = {
    "on_open": ("ws",), "on_message": ("ws", "message"), "on_close": ("ws", "code", "reason"), "on_resume": ("ws",),
}
_PORTS = {"http": "80", "https": "443"}


class WebSocket:
    """An entry of PATHS that accepts WebSockets (RFC 6455).

    on_open    -- ``f(ws)``, before the WebSocket is accepted. To refuse, return False (403), call ``ws.reject(401)`` or
                  raise HTTPError
    on_message -- ``f(ws, message)``, with a whole message: str for text, bytes for binary
    on_close   -- ``f(ws, code, reason)``, exactly once for each WebSocket that on_open has not refused. code is that of
                  the first close frame (RFC 6455 §7.4), 1005 if it had none, 1006 if the client has disconnected
                  without one
    on_resume  -- accepted and never called, because a WebSocket stays in its process
    subprotocols -- names, the preferred one first; the first that the client offers is chosen
    origins    -- pages that may connect, by their field Origin. None: only pages of the same host, because otherwise
                  any page on the web could connect with its visitor's cookies. A list adds others,
                  "https://example.org" or "https://*.example.org"; "*" allows all. Clients without Origin are not
                  browsers, and always allowed

    ``broadcast`` sends to all clients of an entry, or to a group (``ws.join``).

    Callbacks run like handlers: on a Python thread, or inline on the loop. For one WebSocket, they run one at a time,
    for different WebSockets concurrently. An exception goes to the log and closes the WebSocket with 1011. Each
    callback may be left out, or be a method of a subclass.

    At a reload the old process keeps its WebSockets for --ws-reload-grace and then closes them with 1012. The page must
    connect again, and reaches the new code.

    TypeError, ValueError: wrong argument.
    """

    _fapws_kind = "websocket"

    on_open: Optional[OnOpen] = None
    on_message: Optional[OnMessage] = None
    on_close: Optional[OnClose] = None
    on_resume: Optional[OnOpen] = None

    def __init__(
        self,
        on_open: Optional[OnOpen] = None,
        on_message: Optional[OnMessage] = None,
        on_close: Optional[OnClose] = None,
        *,
        on_resume: Optional[OnOpen] = None,
        subprotocols: Iterable[str] = (),
        origins: Union[None, str, Iterable[str]] = None,
    ) -> None:
        for name, given in (
            ("on_open", on_open), ("on_message", on_message), ("on_close", on_close), ("on_resume", on_resume),
        ):
            if given is not None:
                setattr(self, name, given)
            _check_callback(name, getattr(self, name))
        called = next(filter(None, (on_message, on_open, on_close)), None)
        if called is not None:  # for log lines, because instances have no names
            self.__module__ = getattr(called, "__module__", None) or type(called).__module__
            self.__qualname__ = f"WebSocket({getattr(called, '__qualname__', type(called).__qualname__)})"
        self.subprotocols = _checked_names(subprotocols)
        self.origins = _checked_origins(origins)
        self._told = False  # whether a rejected origin was already logged

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> List[bytes]:
        """Responds to a request that does not request a WebSocket (RFC 9110 §15.5.22)."""
        start_response(
            "426 Upgrade Required", [("Upgrade", "websocket"), ("Content-Type", "text/plain; charset=utf-8")]
        )
        return [b"This address is for WebSockets.\n"]

    def _admit(self, environ: Mapping[str, Any]) -> Optional[str]:
        """Returns the subprotocol for a client, or None. Raises HTTPError if the client may not connect. The server
        calls this method."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and "*" not in self.origins and not self._knows(origin, environ.get("HTTP_HOST", "")):
            self._tell(origin, environ)
            raise HTTPError(403, f"Origin {origin} is not allowed.")
        if self.subprotocols:
            offered = [name.strip() for name in environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(",")]
            for name in self.subprotocols:
                if name in offered:
                    return name
        return None

    def _knows(self, origin: str, host: str) -> bool:
        page = _place(origin)
        if page is None:
            # not a web address, such as "null", which browsers send for a page from a file or in a sandbox
            return origin in self.origins
        scheme, name, port = page
        # Do not compare the scheme, because TLS may end at a proxy that does not report the scheme to fapws.
        if _place(f"{scheme}://{host}") == page:
            return True
        for allowed in self.origins:
            its_scheme, its_name, its_port = _place(allowed) or ("", "", "")
            same = name.endswith(its_name[1:]) if its_name.startswith("*.") else name == its_name
            if same and (scheme, port) == (its_scheme, its_port):
                return True
        return False

    def _tell(self, origin: str, environ: Mapping[str, Any]) -> None:
        if self._told:
            return
        self._told = True
        host = environ.get("HTTP_HOST", "")
        line = (
            f"a page of {origin[:200]!a} asked for the WebSocket {environ.get('SCRIPT_NAME', '')!a} of {host[:200]!a}"
            " and was refused"
        )
        from fapws._failure import log  # imported here because most scripts do not need it

        line += "; WebSocket(origins=[...]) allows pages of other hosts (logged once)"
        errors = environ.get("wsgi.errors", sys.stderr)
        log("warning", line, errors)


def broadcast(
    websockets: Union[WebSocket, Iterable[WebSocketConnection]],
    message: Union[str, bytes, bytearray, memoryview],
    group: Optional[str] = None,
) -> int:
    """Sends a message to many WebSockets, without waiting for any of them::

        chat = WebSocket(on_message=lambda ws, message: broadcast(chat, message))
        PATHS = [("/chat", chat)]

    websockets -- a WebSocket of PATHS, which means all its clients in all processes of this server, or some connections
                  of this process, as callbacks get them
    message    -- str, sent as text, or bytes, sent as binary
    group      -- only for a WebSocket of PATHS: its clients in this group (``ws.join(group)``)

    Returns the number of recipients. For a WebSocket of PATHS, this number includes clients in their handshake, and the
    numbers of other processes are up to a second old. If messages of more than 1 MiB wait for a client (or more than
    two of the largest size), its WebSocket is closed with 1013.

    All clients of a WebSocket of PATHS get broadcasts in one order, whichever process and thread sends them;
    a message of ``ws.send`` may arrive earlier. A client gets all broadcasts since its on_open began, as soon as it is
    accepted. During a reload, a process whose code has no such WebSocket drops the message. Any thread and
    any asyncio task may call this; while a script is imported there are no recipients.

    TypeError, ValueError: wrong argument, a WebSocket that is not in PATHS, or a message longer than
    --channel-max-event. RuntimeError: messages of 8 MiB wait, and the server has not caught up within a second (at
    once, if waiting would block the server itself); or this process does not run under fapws, or is a child of the
    server.
    """
    if _native is None:
        raise RuntimeError("WebSockets exist only in the fapws executable")
    if not isinstance(websockets, WebSocket):
        if group is not None:
            raise TypeError("broadcast: group works only with a WebSocket of PATHS")
        return _native.broadcast(websockets, message)
    what = (websockets, message, group)
    taken = _native.broadcast_all(*what)
    if not taken:
        _channels._wait("broadcast", taken, _native.broadcast_all, what)
    return _native.websocket_count(websockets, group)


def refusal(
    status: int = 403, text: str = "", headers: Union[Iterable[Tuple[str, str]], Mapping[str, str]] = ()
) -> HTTPError:
    """Returns the response for ``ws.reject``."""
    return HTTPError(status, text, headers)


def _check_callback(name: str, given: Any) -> None:
    if given is None:
        return
    if not callable(given):
        raise TypeError(f"WebSocket: {name} must be a function, not {given!r}")
    for function in (given, getattr(type(given), "__call__", None)):
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & _COROUTINE:
            raise TypeError(
                f"WebSocket: {name} is async (async def); callbacks must be plain functions; use an ASGI application"
                " for async WebSockets"
            )
    problem = misfit(given, *_ARGUMENTS[name])
    if problem:
        raise TypeError(f"WebSocket: {name} is {problem}")


def _checked_names(subprotocols: Iterable[str]) -> Tuple[str, ...]:
    if isinstance(subprotocols, str):
        raise TypeError(f"WebSocket: subprotocols must be a list of names, not {subprotocols!r}")
    names = tuple(subprotocols)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"WebSocket: a subprotocol must be a str, not {name!r}")
        if not name or not _TOKEN.issuperset(name):
            raise ValueError(f"WebSocket: {name!r} is not a valid subprotocol name")
    return names


def _checked_origins(origins: Union[None, str, Iterable[str]]) -> Tuple[str, ...]:
    if origins is None:
        return ()
    names = (origins,) if isinstance(origins, str) else tuple(origins)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"WebSocket: an origin must be a str, not {name!r}")
        if name not in ("*", "null") and _place(name) is None:
            raise ValueError(f'WebSocket: {name!r} is not an origin; write "https://example.org", or "*" for all')
    return names


def _place(origin: str) -> Optional[Tuple[str, str, str]]:
    """Returns scheme, host and port of an origin (RFC 6454 §6.2), or None if it is not valid."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if (
        not parts.scheme or not parts.hostname or parts.path or parts.query or parts.fragment
        or parts.username is not None
    ):
        return None
    return (
        parts.scheme.lower(), parts.hostname.lower().rstrip("."),
        str(port) if port is not None else _PORTS.get(parts.scheme.lower(), ""),
    )
