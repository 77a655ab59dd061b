from datetime import datetime
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, Union

class Start_response:
    """PEP 3333's start_response, with Fapws's methods for header fields.

    The server makes one for each request, on the thread that runs the
    handler, and it is of no use after the response has ended.
    """

    #: The status as a number, 100..999; settable until the head was sent.
    status_code: int
    #: The header fields so far, in order, as PEP 3333 (name, value) tuples.
    response_headers: List[Tuple[str, str]]

    def __init__(self) -> None: ...
    def __call__(
        self,
        status: str,
        response_headers: Iterable[Tuple[str, str]],
        exc_info: Optional[Tuple[Any, Any, Any]] = None,
    ) -> Callable[[bytes], object]: ...
    def write(self, data: bytes) -> object: ...
    def add_header(self, name: str, value: str) -> None: ...
    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: Optional[int] = None,
        expires: Union[str, datetime, float, None] = None,
        path: Optional[str] = "/",
        domain: Optional[str] = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Optional[str] = None,
    ) -> None: ...
    def delete_cookie(self, key: str, path: Optional[str] = "/", domain: Optional[str] = None) -> None: ...

def cache_purge(pattern: str) -> None: ...
def channel_answer(names: str, start: bytes, headers: Tuple[Tuple[str, str], ...]) -> Any: ...
def channel_subscribers(name: str) -> int: ...
def channel_publish(name: str, id: str, type: str, data: str) -> Optional[bool]: ...
def channel_watch() -> None: ...
def group_count(group: str) -> int: ...
def group_join(socket: int, group: str) -> None: ...
def group_leave(socket: int, group: str) -> None: ...
def group_send(group: str, message: Union[str, bytes, bytearray, memoryview]) -> Optional[bool]: ...
def ipc_post(topic: str, data: bytes) -> Optional[bool]: ...
def ipc_watch() -> None: ...
def static_answer(options: str, environ: Mapping[str, Any], program: bool = False) -> Iterable[bytes]: ...

class ClientDisconnected(BrokenPipeError):
    """An exception raised by write() and send() after the client has disconnected."""

class Timeout(Exception):
    """An exception raised in a handler that takes longer than --timeout."""

class WebSocketConnection:
    """One WebSocket of a client, which the callbacks of fapws.WebSocket get. Any thread may use it."""

    #: The environ of the handshake (PEP 3333), a dict.
    @property
    def environ(self) -> Dict[str, Any]: ...
    #: The negotiated subprotocol, or None.
    @property
    def subprotocol(self) -> Optional[str]: ...
    #: Whether the WebSocket is closed, so that nothing can be sent.
    @property
    def closed(self) -> bool: ...
    #: The application's own: a types.SimpleNamespace, unless it is set to something else.
    data: Any
    def send(self, message: Union[str, bytes, bytearray, memoryview], timeout: Optional[float] = None) -> None:
        """Sends a str as text, bytes as a binary message.

        While the client is more than 256 KiB behind, it waits, without the GIL, for up to timeout
        seconds, then raises TimeoutError. Inline, and on the asyncio thread, it does not wait, but
        raises TimeoutError above 4 MiB. BrokenPipeError: the WebSocket is closed.
        """

    def join(self, group: str) -> None:
        """Adds the WebSocket to a group, a str of 1 to 128 characters, for broadcast; up to 1000 groups."""

    def leave(self, group: str) -> None: ...
    def close(self, code: int = 1000, reason: str = "") -> None: ...
    def reject(
        self, status: int = 403, text: str = "", headers: Union[Iterable[Tuple[str, str]], Mapping[str, str]] = ()
    ) -> None: ...

def broadcast(websockets: Iterable[WebSocketConnection], message: Union[str, bytes, bytearray, memoryview]) -> int:
    """Sends message to each open WebSocket of websockets, without waiting; returns the number of recipients.

    A client that is more than 1 MiB behind is closed with 1013 instead. Any thread may call it.
    """

def broadcast_all(
    websocket: Any, message: Union[str, bytes, bytearray, memoryview], group: Optional[str]
) -> Optional[bool]: ...
def websocket_count(websocket: Any, group: Optional[str]) -> int: ...
