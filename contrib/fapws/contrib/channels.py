"""A channel layer for Django Channels that needs no other server: the layer reaches all workers of this server.

In the settings of Django::

    CHANNEL_LAYERS = {"default": {"BACKEND": "fapws.contrib.channels.Layer"}}

It implements the channel layer specification
(https://channels.readthedocs.io/en/stable/channel_layer_spec.html), with the extensions ``groups`` and
``flush``. ``CONFIG`` may have ``expiry``, ``group_expiry``, ``capacity`` and ``channel_capacity`` as other
layers do, and ``name``: layers with different names are separate.

A message has up to 1 MiB, and consists of JSON values and bytes. Messages that wait in a worker that stops, or is
replaced by a reload, are lost, as the specification allows; clients then reconnect. A worker knows normal channels
(those without ``!``) and their groups only since its layer was created. Outside fapws, as in the tests of a site and in
commands of manage.py, the layer reaches only its own process, and warns once.
"""
from __future__ import annotations

import marshal
import re
import secrets

from channels.exceptions import ChannelFull, MessageTooLarge
from channels.layers import BaseChannelLayer

from fapws.contrib._channelstate import MARSHAL, shared_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

__all__ = ["Layer"]

_LARGEST = 1 << 20  # in bytes
_CHANNEL = re.compile(r"[a-zA-Z0-9\-_.]+(![\w\-.]*)?", re.ASCII)
_GROUP = re.compile(r"[a-zA-Z0-9\-_.]+")
_LONGEST = 99


class Layer(BaseChannelLayer):  # type: ignore[misc]
    """The channel layer.

    expiry           -- seconds after which a message that was not received is dropped
    group_expiry     -- seconds after which a channel leaves a group, unless it was added to the group again
    capacity         -- messages that may wait in a channel. If the process of the sender knows that the channel is
                        full, ``send`` raises ChannelFull. Otherwise the receiving process drops the message
    channel_capacity -- {pattern: capacity} for channels whose names match, such as ``{"http.*": 10}``
    name             -- of the layer
    """

    extensions = ["groups", "flush"]
    ChannelFull = ChannelFull
    MessageTooLarge = MessageTooLarge

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Optional[Dict[Any, int]] = None,
        name: str = "",
    ) -> None:
        super().__init__(expiry=expiry, capacity=capacity)
        self.group_expiry = group_expiry
        self.channel_capacity = self.compile_capacities(channel_capacity or {})
        self._shared = shared_of(name, self.get_capacity)

    async def send(self, channel: str, message: Dict[str, Any]) -> None:
        """Send message to channel. ChannelFull, MessageTooLarge; TypeError for an invalid argument."""
        _check(_CHANNEL, "channel", channel)
        await self._shared.send(channel, _packed(message), self.expiry)

    async def receive(self, channel: str) -> Dict[str, Any]:
        """Returns the next message in channel. If channel ends with ``!``, returns the next message of all channels
        whose names begin with channel.

        ValueError: the channel belongs to a different process, and only that process can receive from the channel.
        """
        _check(_CHANNEL, "channel", channel)
        if "!" in channel and not self._shared.is_mine(channel):
            raise ValueError(f"receive: {channel!r} is not a channel of this process; create one with new_channel()")
        message: Dict[str, Any] = marshal.loads(await self._shared.receive(channel))
        return message

    async def new_channel(self, prefix: str = "specific") -> str:
        """Returns the name of a new channel. Only this process can receive from the channel."""
        name = f"{prefix}.{self._shared.id}!{secrets.token_hex(8)}"
        _check(_CHANNEL, "channel", name)
        return name

    async def group_add(self, group: str, channel: str) -> None:
        """Add channel to group: from now on, the channel gets messages to the group."""
        _check(_GROUP, "group", group)
        _check(_CHANNEL, "channel", channel)
        await self._shared.settle("add", group, channel, self.group_expiry)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove channel from group."""
        _check(_GROUP, "group", group)
        _check(_CHANNEL, "channel", channel)
        await self._shared.settle("discard", group, channel)

    async def group_send(self, group: str, message: Dict[str, Any]) -> None:
        """Send message to all channels in group, except channels that are full. MessageTooLarge: the message has more
        than 1 MiB."""
        _check(_GROUP, "group", group)
        try:
            await self._shared.post("group", self._shared.id, group, _packed(message), self.expiry)
        except ChannelFull:
            pass  # The specification requires that group_send does not raise ChannelFull.

    async def flush(self) -> None:
        """Drop all messages and groups, in all processes."""
        await self._shared.flush()

    async def close(self) -> None:
        """Does nothing, because the layer has no connections."""


def _check(pattern: Any, what: str, name: Any) -> None:
    if not isinstance(name, str) or len(name) > _LONGEST or not pattern.fullmatch(name):
        raise TypeError(
            f"the name of a {what} must be 1 to {_LONGEST} ASCII letters, digits, hyphens, underscores and periods, not"
            f" {name!r:.200}"
        )


def _packed(message: Any) -> bytes:
    if not isinstance(message, dict):
        raise TypeError(f"a message must be a dict, not {message!r:.200}")
    try:
        data = marshal.dumps(message, MARSHAL)
    except ValueError:
        raise TypeError(
            f"a message must contain only dicts, lists, str, bytes, numbers, booleans and None: {message!r:.200}"
        ) from None
    if len(data) > _LARGEST:
        raise MessageTooLarge(f"a message has {len(data)} bytes, at most {_LARGEST} are allowed")
    return data
