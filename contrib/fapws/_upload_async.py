"""Uploads whose handler is async: a function or an ASGI application, which runs on the asyncio thread."""
from __future__ import annotations

from fapws._upload import BareStart, upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

__all__ = ["ASGIUpload", "AsyncUpload"]


class AsyncUpload(upload):
    """An upload whose handler is ``async def handler(environ, start_response)``."""

    async def __call__(  # type: ignore[override]
        self, environ: Dict[str, Any], start_response: Callable[..., Any]
    ) -> Any:
        given, _ = self._given(environ["wsgi.input"].read())
        environ["fapws.upload"] = self._finished(given)
        assert self.handler is not None
        if "status" not in given:
            return await self.handler(environ, start_response)
        start = BareStart(start_response)
        return start.finish(await self.handler(environ, start), given["status"])


class ASGIUpload(upload):
    """An upload whose handler is an ASGI application, for which ``scope["fapws.upload"]`` describes the upload."""

    async def __call__(self, scope: Dict[str, Any], receive: Any, send: Any) -> None:  # type: ignore[override]
        assert self.handler is not None
        if scope["type"] != "http":
            return await self.handler(scope, receive, send)
        body = b""
        more = True
        while more:
            event = await receive()
            if event["type"] != "http.request":
                return
            body += event.get("body", b"")
            more = event.get("more_body", False)
        given, _ = self._given(body)
        scope["fapws.upload"] = self._finished(given)
        if "status" in given:
            send = _Bare(send, given["status"])
        await self.handler(scope, _Behind(receive), send)


class _Behind:
    """Replaces receive() for a request whose body the server has already read."""

    def __init__(self, receive: Any) -> None:
        self.receive = receive
        self.told = False

    async def __call__(self) -> Any:
        if self.told:
            return await self.receive()
        self.told = True
        return {"type": "http.request", "body": b"", "more_body": False}


class _Bare:
    """Replaces send() for a client that uses the protocol tus, as BareStart replaces start_response."""

    def __init__(self, send: Any, status: int) -> None:
        self.send = send
        self.status = status
        self.bare = False

    async def __call__(self, message: Dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "http.response.start" and 200 <= message["status"] < 300:
            self.bare = True
            fields = [
                field for field in message.get("headers", ()) if not bytes(field[0]).lower().startswith(b"content-")
            ]
            message = dict(message, status=self.status, headers=fields)
        elif self.bare:
            message = {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}
        await self.send(message)
