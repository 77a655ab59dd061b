from datetime import datetime
from typing import Any, Callable, Iterable, List, Mapping, Optional, Tuple, Union

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
def channel_listeners(name: str) -> int: ...
def channel_publish(name: str, id: str, type: str, data: str) -> Optional[bool]: ...
def channel_watch() -> None: ...
def static_answer(options: str, environ: Mapping[str, Any], program: bool = False) -> Iterable[bytes]: ...

class Timeout(Exception):
    """Raised in a handler that takes longer than --timeout."""
