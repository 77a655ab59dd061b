"""Groups of WebSockets for ASGI applications: what is sent to a group reaches the clients of all workers.

In FastAPI, and likewise in Starlette::

    from fapws import groups

    @app.websocket("/rooms/{room}")
    async def chat(websocket: WebSocket, room: str):
        await websocket.accept()
        groups.join(websocket, room)            # it leaves by itself when it ends
        async for text in websocket.iter_text():
            groups.send(room, text)

The server delivers by itself, without Python: one slow client delays no other one. Groups belong to the
server: all of its ASGI applications share them. They need not be made. ``fapws.WebSocket`` has groups of its
own (``ws.join``, ``fapws.broadcast``).

None of these functions waits, so there is nothing to await. All may be called from any thread and
any task. RuntimeError: this process is not served by fapws, or is a child of the server.
"""
from __future__ import annotations

from fapws import _channels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Set

__all__ = ["count", "join", "leave", "send"]

_MOST = 1000  # groups of one WebSocket


def join(websocket: Any, group: str) -> None:
    """From now on websocket gets what is sent to group.

    websocket -- of FastAPI, Starlette or Channels (what has a ``scope``), or the scope itself
    group     -- 1 to 128 characters

    It leaves all groups when it ends. Before it is accepted, messages wait for that. TypeError or
    ValueError says which argument is wrong, or that it is in 1000 groups already.
    """
    known = _known(websocket, "join")
    joined: Set[str] = known.setdefault("joined", set())
    if group not in joined and len(joined) >= _MOST:
        raise ValueError(f"groups.join: a WebSocket can be in {_MOST} groups")
    _native("join").group_join(known["socket"], group)
    joined.add(group)


def leave(websocket: Any, group: str) -> None:
    """From now on websocket does not get what is sent to group; it need not have been there."""
    known = _known(websocket, "leave")
    _native("leave").group_leave(known["socket"], group)
    known.setdefault("joined", set()).discard(group)


def send(group: str, message: Any) -> None:
    """Send message to all WebSockets in group, in all workers.

    message -- a str, which is sent as text, bytes, as a binary message, or anything else, as JSON

    All get the messages of a group in one order; what one client causes, request after request, keeps its
    order through any workers. A client that is more than 1 MiB behind is closed with 1013. TypeError or
    ValueError says which argument is wrong, or that the message is longer than
    --channel-max-event. RuntimeError: messages and events worth 8 MiB wait already, and the server has not
    caught up within a second (in a task: at once).
    """
    if not isinstance(message, (str, bytes, bytearray, memoryview)):
        from json import dumps

        message = dumps(message, ensure_ascii=False, separators=(",", ":"))
    push = _native("send").group_send
    taken = push(group, message)
    if not taken:
        _channels._wait("groups.send", taken, push, (group, message))


def count(group: str) -> int:
    """How many WebSockets are in group, in all workers; what is known of other workers may be up to a second old."""
    number: int = _native("count").group_count(group)
    return number


def _known(websocket: Any, function: str) -> Dict[str, Any]:
    scope = getattr(websocket, "scope", websocket)
    if isinstance(scope, dict) and scope.get("type") == "websocket":
        known = (scope.get("extensions") or {}).get("fapws.groups")
        if known is not None:
            return known  # type: ignore[no-any-return]
        raise RuntimeError(f"groups.{function}: this WebSocket is not served by fapws")
    raise TypeError(f"groups.{function}: give a WebSocket, or its ASGI scope, not {websocket!r}")


def _native(function: str) -> Any:
    return _channels._native("groups." + function)
