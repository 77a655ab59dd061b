"""``environ['werkzeug.socket']``: a socket to the client, for libraries that speak WebSocket by themselves.

The server puts one into the environ of a WSGI handler when a client asks for a WebSocket
(simple-websocket, and with it Flask-Sock and Flask-SocketIO, look for this key).
"""
from __future__ import annotations

import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

__all__ = ["Socket", "offer"]

_USES = (
    "send sendall sendmsg sendto sendfile recv recv_into recvfrom recvfrom_into recvmsg recvmsg_into"
    " makefile fileno dup detach shutdown"
).split()
# The connection of a client that stops reading is closed after this time, in seconds.
_STUCK = 60


class Socket(socket.socket):
    """A blocking socket that records whether the application uses it."""

    #: Whether the handler uses the socket: the server then sends nothing.
    used = False

    def _use(self) -> None:
        self.used = True
        if self.gettimeout() is None:
            self.setblocking(True)  # The server has made the socket non-blocking.
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _STUCK, 0))

    def end(self) -> bool:
        """Closes the socket, and returns whether it was used. The server calls this when the handler has returned."""
        socket.socket._real_close(self)  # type: ignore[attr-defined]  # also if files are made of it
        return self.used

    # socket.__repr__ would call fileno, which counts as a use.
    def __repr__(self) -> str:
        return "<the socket of a client that asks for a WebSocket>"


def _noting(name: str) -> Callable[..., Any]:
    method = getattr(socket.socket, name)

    def use(self: Socket, *args: Any, **kwargs: Any) -> Any:
        if not self.used:
            self._use()
        return method(self, *args, **kwargs)

    use.__name__, use.__doc__ = name, method.__doc__
    return use


for _name in _USES:
    if hasattr(socket.socket, _name):
        setattr(Socket, _name, _noting(_name))


def offer(environ: Dict[str, Any], descriptor: int) -> Socket:
    """Puts a socket into environ, which owns the descriptor from now on."""
    made = environ["werkzeug.socket"] = Socket(fileno=descriptor)
    return made
