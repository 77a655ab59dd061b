"""Groups of WebSockets for ASGI applications: messages to a group reach the clients of all workers.

In FastAPI and Starlette::

    from fapws import groups

    @app.websocket("/rooms/{room}")
    async def chat(websocket: WebSocket, room: str):
        await websocket.accept()
        groups.join(websocket, room)            # until the WebSocket closes
        async for text in websocket.iter_text():
            groups.send(room, text)

The server delivers messages without Python, so a slow client does not delay others. Groups belong to the
server: all of its ASGI applications share them. They need no declaration. ``fapws.WebSocket`` has separate
groups (``ws.join``, ``fapws.broadcast``).

None of these functions waits, so they are not async. They may be called from any thread and
any task. RuntimeError: this process does not run under fapws, as with Starlette's TestClient
(use ``fapws.testing``), or is a child of the server.
"""
from __future__ import annotations

from fapws import _channels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Set, Tuple

__all__ = ["count", "join", "leave", "send"]

_MOST = 1000  # maximum number of groups that a WebSocket can be in


def join(websocket: Any, group: str) -> None:
    """Adds a WebSocket to a group.

    websocket -- of FastAPI, Starlette or Channels (any object with ``scope``), or the scope itself
    group     -- 1 to 128 characters

    A WebSocket leaves all groups when it closes. Messages wait until the WebSocket is accepted. TypeError, ValueError:
    wrong argument, or the WebSocket is in 1000 groups already.
    """
    native, known = _known(websocket, "join")
    joined: Set[str] = known.setdefault("joined", set())
    if group not in joined and len(joined) >= _MOST:
        raise ValueError(f"groups.join: a WebSocket can be in up to {_MOST} groups")
    native.group_join(known["socket"], group)
    joined.add(group)


def leave(websocket: Any, group: str) -> None:
    """Removes a WebSocket from a group; nothing happens if it is not in the group."""
    native, known = _known(websocket, "leave")
    native.group_leave(known["socket"], group)
    known.setdefault("joined", set()).discard(group)


def send(group: str, message: Any) -> None:
    """Sends a message to all WebSockets in a group, in all workers.

    message -- str, sent as text, bytes, sent as binary, or any object, sent as JSON

    All clients get the messages of a group in one order, whichever workers have sent them. A client that is more than 1
    MiB behind is closed with 1013. TypeError, ValueError: wrong argument, or a message longer than --channel-max-event.
    RuntimeError: messages of 8 MiB wait, and the server has not caught up within a second (in a task: at once).
    """
    if not isinstance(message, (str, bytes, bytearray, memoryview)):
        from json import dumps

        message = dumps(message, ensure_ascii=False, separators=(",", ":"))
    push = _native("send").group_send
    taken = push(group, message)
    if not taken:
        _channels._wait("groups.send", taken, push, (group, message))


def count(group: str) -> int:
    """Returns the number of WebSockets in a group in all workers, and with a broker in all servers. The numbers of
    other workers are up to a second old, those of other servers two."""
    number: int = _native("count").group_count(group)
    return number


def _known(websocket: Any, function: str) -> Tuple[Any, Dict[str, Any]]:
    """Returns module fapws._native, and the dict in which the server stores its number of the WebSocket."""
    scope = getattr(websocket, "scope", websocket)
    if not isinstance(scope, dict) or scope.get("type") != "websocket":
        raise TypeError(f"groups.{function}: takes a WebSocket or its ASGI scope, not {websocket!r}")
    native = _native(function)
    known = (scope.get("extensions") or {}).get("fapws.groups")
    if known is None:
        raise RuntimeError(f"groups.{function}: this WebSocket does not belong to fapws")
    return native, known


def _native(function: str) -> Any:
    return _channels._native("groups." + function)
