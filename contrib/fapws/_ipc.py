"""Messages between the Python code of all processes of this server.

A posted message arrives in all processes, including the sender, and in the same order as all other messages. The
asyncio thread calls the function that was registered for the topic, so processes without an asyncio thread receive no
messages.
"""
from __future__ import annotations

import sys

from fapws import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Tuple

__all__ = ["arrives", "post", "receive"]

_receivers: Dict[str, Callable[[bytes], object]] = {}


def post(topic: str, data: bytes) -> Optional[bool]:
    """Posts data, at most 2 MiB, without waiting.

    May be called on any thread. Returns True if the message was posted. If 8 MiB of events are already waiting, returns
    False or None. After False, the caller may wait and retry. None means that the server cannot send events while this
    thread waits. RuntimeError: this process is a child of the server.
    """
    return _native.ipc_post(topic, data)


def receive(topic: str, function: Callable[[bytes], object]) -> None:
    """Registers a function that is called with each later message to topic. The function is called on the asyncio
    thread, and must not block."""
    _receivers[topic] = function
    _native.ipc_watch()


def arrives() -> bool:
    """Whether this process receives messages, because it has an asyncio thread."""
    return getattr(sys.modules.get("fapws._async"), "_thread", None) is not None


def _arrived(letters: List[Tuple[str, bytes]]) -> None:
    for topic, data in letters:
        function = _receivers.get(topic)
        if function is not None:
            try:
                function(data)
            except Exception as error:
                from fapws._failure import log

                log("error", f"error in receiving messages of {topic}", error=error)
