"""Channels and groups, which all layers of fapws.contrib.channels in a process share."""
from __future__ import annotations

import asyncio
import marshal
import re
import secrets
import threading
import time
from collections import deque
from itertools import count

from channels.exceptions import ChannelFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Deque, Dict, List, Optional, Set, Tuple

    Id = Tuple[str, int]  # id of a message: the id of the sending process, and a number
    Waiter = Tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]

try:
    from fapws import _ipc
except ImportError:  # outside the executable
    _ipc = None  # type: ignore[assignment]

__all__ = ["MARSHAL", "Shared", "shared_of"]

MARSHAL = 4  # a format version that all supported versions of Python can read
# If a channel belongs to one process, its name contains the id of this process.
_OWNED = re.compile(r"\.([0-9a-f]{16})!")
_PAUSE = 0.002  # interval between two attempts to post while the server is overloaded, in seconds
_PATIENCE = 1.0

_all: Dict[str, Shared] = {}
_all_lock = threading.Lock()


def shared_of(name: str, capacity: Callable[[str], int]) -> Shared:
    with _all_lock:
        shared = _all.get(name)
        if shared is None:
            shared = _all[name] = Shared(name)
        shared.capacity = capacity
        return shared


class Shared:
    """Channels and groups of this process.

    Changes are posted to all processes, which apply them in the same order. If the name of a channel contains the id of
    a process, only this process stores the channel and its memberships. All other channels are shared: every process
    stores them. A process with a receiver for a shared channel posts a *claim* for a message. All processes see
    the claims in the same order, and the process whose claim is first gets the message.
    """

    def __init__(self, name: str) -> None:
        self.id = secrets.token_hex(8)
        self.topic = "channels/" + name
        self.capacity: Callable[[str], int]
        self.lock = threading.Lock()
        self.numbers = count(1)
        self.looked = 0.0
        # messages that receivers in this process may take: channel → (time of expiry, sequence number, message)
        self.waiting: Dict[str, Deque[Tuple[float, int, bytes]]] = {}
        self.unclaimed: Dict[str, Dict[Id, Tuple[float, bytes]]] = {}
        # claims from this process, until it is known whether a different process was first
        self.claimed: Dict[str, Set[Id]] = {}
        self.coming: Dict[str, int] = {}  # number of posted messages that have not arrived yet
        self.receivers: Dict[str, Deque[Waiter]] = {}
        self.groups: Dict[str, Dict[str, float]] = {}  # group → channel → time when the channel leaves
        self.member_of: Dict[str, Set[str]] = {}
        self.settling: Dict[int, Waiter] = {}
        if _ipc is None:
            import warnings

            warnings.warn(
                "this process does not run under fapws: the channel layer does not reach other processes",
                RuntimeWarning, stacklevel=5,
            )
        else:
            _ipc.receive(self.topic, self.arrived)

    def push(self, *event: Any) -> bool:
        """Posts an event, or returns False if the server is overloaded."""
        data = marshal.dumps(event, MARSHAL)
        if _ipc is None:
            self.arrived(data)
            return True
        return bool(_ipc.post(self.topic, data))

    async def post(self, *event: Any) -> None:
        """Posts an event, and waits while the server is overloaded, or raises ChannelFull after a second."""
        end = time.monotonic() + _PATIENCE
        while not self.push(*event):
            if time.monotonic() > end:
                raise ChannelFull("queue full: 8 MiB of events are waiting")
            await asyncio.sleep(_PAUSE)

    async def send(self, channel: str, data: bytes, expiry: float) -> None:
        with self.lock:
            self.expire(time.monotonic())
            if self.length(channel) >= self.capacity(channel):
                raise ChannelFull(channel)
            counts = _arrives()
            if counts:
                self.coming[channel] = self.coming.get(channel, 0) + 1
        try:
            await self.post("send", (self.id, next(self.numbers)), channel, data, expiry)
        except BaseException:
            with self.lock:
                if counts:
                    self.arrives(channel)
            raise

    async def settle(self, kind: str, *event: Any, patience: Optional[float] = _PATIENCE) -> None:
        """Posts an event, and returns after the event has arrived in this process. If the caller then posts another
        event, that event arrives after the first event in every process.

        patience -- seconds to wait for the arrival; None: no limit
        """
        number, done = next(self.numbers), self.waiter()
        self.settling[number] = done
        try:
            await self.post(kind, self.id, number, *event)
            if _arrives():
                await asyncio.wait((done[1],), timeout=patience)
        finally:
            self.settling.pop(number, None)

    async def flush(self) -> None:
        await self.settle("flush", patience=None)

    @staticmethod
    def waiter() -> Waiter:
        loop = asyncio.get_running_loop()
        return loop, loop.create_future()

    async def receive(self, channel: str) -> bytes:
        while True:
            with self.lock:
                data = self.take(channel)
                if data is not None:
                    return data
                me = self.waiter()
                self.receivers.setdefault(channel, deque()).append(me)
                claims = self.claims(channel)
            for claim in claims:
                self.answer(claim)
            try:
                await me[1]
            except BaseException:
                with self.lock:
                    # A message had woken the receiver before the receiver was cancelled.
                    # Wake a different receiver for the message.
                    if not self.forget(channel, me):
                        self.wake(channel)
                raise

    def arrives(self, channel: str) -> None:
        left = self.coming.get(channel, 0) - 1
        if left > 0:
            self.coming[channel] = left
        else:
            self.coming.pop(channel, None)

    def length(self, channel: str) -> int:
        return len(self.waiting.get(channel, ())) + len(self.unclaimed.get(channel, ())) + self.coming.get(channel, 0)

    def take(self, channel: str) -> Optional[bytes]:
        now = time.monotonic()
        self.expire(now)
        name: Optional[str] = channel
        if channel.endswith("!"):
            names = [each for each in self.waiting if each.startswith(channel)]
            name = min(names, key=lambda each: self.waiting[each][0][1]) if names else None
        while name is not None and name in self.waiting:
            queue = self.waiting[name]
            expires, _, data = queue.popleft()
            if not queue:
                del self.waiting[name]
            if expires > now:
                return data
            self.leave_all(name)
        return None

    def put(self, channel: str, data: bytes, expires: float) -> None:
        self.waiting.setdefault(channel, deque()).append((expires, next(self.numbers), data))
        self.wake(channel)

    def wake(self, channel: str) -> None:
        """Wakes a receiver of channel if a message is waiting."""
        prefix = channel[: channel.find("!") + 1]
        if not channel.endswith("!") and channel not in self.waiting:
            return
        for name in (channel, prefix):
            queue = self.receivers.get(name)
            while queue:
                waiter = queue.popleft()
                if not queue:
                    self.receivers.pop(name, None)
                if _wake(waiter):
                    return

    def forget(self, channel: str, me: Waiter) -> bool:
        queue = self.receivers.get(channel)
        if queue is None or me not in queue:
            return False
        queue.remove(me)
        if not queue:
            del self.receivers[channel]
        return True

    def claims(self, channel: str) -> List[Tuple[Any, ...]]:
        """Returns the claims to post so that each waiting receiver gets a message."""
        mine = self.claimed.get(channel, set())
        room = len(self.receivers.get(channel, ())) - len(mine)
        claims = []
        for message in self.unclaimed.get(channel, ()):
            if room <= 0:
                break
            if message not in mine:
                self.claimed.setdefault(channel, set()).add(message)
                claims.append(("claim", channel, message, self.id))
                room -= 1
        return claims

    def expire(self, now: float) -> None:
        """Drops expired messages, at most four times a second."""
        if now - self.looked < 0.25:
            return
        self.looked = now
        for channel, queue in list(self.waiting.items()):
            while queue and queue[0][0] <= now:
                queue.popleft()
                self.leave_all(channel)
            if not queue:
                del self.waiting[channel]
        for channel, messages in list(self.unclaimed.items()):
            for message, (expires, _) in list(messages.items()):
                if expires <= now:
                    self.drop_unclaimed(channel, message)

    def drop_unclaimed(self, channel: str, message: Id) -> Optional[Tuple[float, bytes]]:
        found = self.unclaimed.get(channel, {}).pop(message, None)
        if not self.unclaimed.get(channel):
            self.unclaimed.pop(channel, None)
        mine = self.claimed.get(channel, set())
        mine.discard(message)
        if not mine:
            self.claimed.pop(channel, None)
        return found

    def join(self, group: str, channel: str, seconds: float) -> None:
        self.groups.setdefault(group, {})[channel] = time.monotonic() + seconds
        self.member_of.setdefault(channel, set()).add(group)

    def leave(self, group: str, channel: str) -> None:
        members = self.groups.get(group, {})
        members.pop(channel, None)
        if not members:
            self.groups.pop(group, None)
        groups = self.member_of.get(channel, set())
        groups.discard(group)
        if not groups:
            self.member_of.pop(channel, None)

    def leave_all(self, channel: str) -> None:
        """Removes a channel that belongs to one process from all groups. Called when a message in the channel has
        expired."""
        if _OWNED.search(channel):
            for group in tuple(self.member_of.get(channel, ())):
                self.leave(group, channel)

    def arrived(self, data: bytes) -> None:
        kind, *event = marshal.loads(data)
        with self.lock:
            self.expire(time.monotonic())
            answers = getattr(self, "on_" + kind)(*event)
        for answer in answers or ():
            self.answer(answer)

    def answer(self, event: Tuple[Any, ...]) -> None:
        """Posts an event at once or, if the server is overloaded, soon. May be called on any event loop."""
        if not self.push(*event):
            asyncio.get_running_loop().call_later(_PAUSE, self.answer, event)

    def is_mine(self, channel: str) -> Optional[bool]:
        """Whether channel belongs to this process; None if it belongs to no process."""
        owner = _OWNED.search(channel)
        return owner.group(1) == self.id if owner else None

    def on_send(self, message: Id, channel: str, data: bytes, expiry: float) -> Any:
        if message[0] == self.id:
            self.arrives(channel)
        mine = self.is_mine(channel)
        if mine is False or self.length(channel) - self.coming.get(channel, 0) >= self.capacity(channel):
            return None
        if mine:
            self.put(channel, data, time.monotonic() + expiry)
            return None
        self.unclaimed.setdefault(channel, {})[message] = (time.monotonic() + expiry, data)
        return self.claims(channel)

    def on_claim(self, channel: str, message: Id, claimer: str) -> Any:
        found = self.drop_unclaimed(channel, message)
        if found and claimer == self.id:
            self.put(channel, found[1], found[0])
        return self.claims(channel)

    def on_add(self, sender: str, number: int, group: str, channel: str, seconds: float) -> None:
        self.settled(sender, number)
        if self.is_mine(channel) is not False:
            self.join(group, channel, seconds)

    def on_discard(self, sender: str, number: int, group: str, channel: str) -> None:
        self.settled(sender, number)
        self.leave(group, channel)

    def on_group(self, sender: str, group: str, data: bytes, expiry: float) -> Any:
        now, sends = time.monotonic(), []
        for channel, leaves in list(self.groups.get(group, {}).items()):
            if leaves <= now:
                self.leave(group, channel)
            elif self.is_mine(channel):
                if self.length(channel) < self.capacity(channel):
                    self.put(channel, data, now + expiry)
            # The channel belongs to a different process, or to none. To prevent duplicates, only the process that has
            # sent the group message posts the message to this channel.
            elif sender == self.id:
                sends.append(("send", (self.id + "/group", next(self.numbers)), channel, data, expiry))
        return sends

    def on_flush(self, sender: str, number: int) -> None:
        for table in (self.waiting, self.unclaimed, self.claimed, self.groups, self.member_of):
            table.clear()  # type: ignore[attr-defined]
        self.settled(sender, number)

    def settled(self, sender: str, number: int) -> None:
        if sender == self.id and number in self.settling:
            _wake(self.settling[number])


def _arrives() -> bool:
    """Whether messages that this process posts also arrive in this process."""
    return _ipc is None or _ipc.arrives()


def _wake(waiter: Waiter) -> bool:
    """Ends the wait of a task in any event loop, and returns whether the task was waiting."""
    loop, future = waiter
    if future.done():
        return False

    def done() -> None:
        if not future.done():
            future.set_result(None)

    try:
        loop.call_soon_threadsafe(done)
    except RuntimeError:  # The event loop of the task is closed.
        return False
    return True
