"""``environ['werkzeug.socket']``: a socket connected to the client, for libraries that implement the WebSocket protocol
themselves.

The server adds this key to the environ of a WSGI handler if a client requests a WebSocket. simple-websocket uses the
key, and so do Flask-Sock and Flask-SocketIO, which are based on simple-websocket.
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
# If a client stops reading, its connection is closed after this time, in seconds.
_STUCK = 60


class Socket(socket.socket):
    """A blocking socket that records whether the application uses it."""

    #: Whether the handler has used the socket. If it has, the server must not send a response.
    used = False

    def _use(self) -> None:
        self.used = True
        if self.gettimeout() is None:
            self.setblocking(True)  # Make the socket blocking again, because the server has made it non-blocking.
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _STUCK, 0))

    def end(self) -> bool:
        """Closes the socket, and returns whether the handler has used the socket. The server calls this method when the
        handler has returned."""
        socket.socket._real_close(self)  # type: ignore[attr-defined]  # also if there are files from makefile()
        return self.used

    # Do not use socket.__repr__, which would call fileno and thereby count as using the socket.
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
    """Adds to environ a Socket that owns the descriptor and closes it."""
    made = environ["werkzeug.socket"] = Socket(fileno=descriptor)
    return made
