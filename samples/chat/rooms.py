"""What chat_async.py knows, in its one process: rooms, who is in them, and what was said; and what both chats do.

Nothing here sends anything. Threads or tasks may share a Room: each method is short and
takes the lock of all rooms.
"""
import json
import threading
import time
from collections import deque
from urllib.parse import parse_qs

LINES = 100  # of each room that are kept
ROOMS = 1000  # that may be open or remembered at a time
LONGEST = 2000  # characters in a line; of names and rooms 40
SUBPROTOCOL = "chat"

_rooms = {}
_lock = threading.Lock()
_last = 0


class Room:
    def __init__(self):
        self.members = {}  # whatever stands for a client: its name
        self.lines = deque(maxlen=LINES)  # as they are sent


def asked(query):
    """The room and the name in a query string, or None for what cannot be one."""
    found = parse_qs(query)
    room, name = (" ".join(found.get(key, [""])[0].split()) for key in ("room", "name"))
    return (room, name) if all(0 < len(word) <= 40 and word.isprintable() for word in (room, name)) else None


def enter(title, member, name):
    """Lets a member in. Returns the messages for it alone, or None if there is no more room."""
    with _lock:
        if title not in _rooms:
            for other in [t for t in _rooms if not _rooms[t].members][:len(_rooms) - ROOMS + 1]:
                del _rooms[other]  # nobody is there: the oldest ones are forgotten
            if len(_rooms) >= ROOMS:
                return None
            _rooms[title] = Room()
        room = _rooms[title]
        room.members[member] = name
        return list(room.lines)


def leave(title, member):
    with _lock:
        if title in _rooms:
            _rooms[title].members.pop(member, None)


def present(title):
    """The message that says who is there, and whom to send it to."""
    with _lock:
        members = dict(_rooms[title].members) if title in _rooms else {}
    return json.dumps({"people": sorted(members.values())}), list(members)


def said(title, member, text):
    """The message of a line, and its recipients: none if it is empty.

    Lines have numbers, microseconds since 1970, by which pages put them in order and know
    those that they have seen, also after a restart.
    """
    global _last
    text = text.strip()[:LONGEST]
    with _lock:
        room = _rooms.get(title)
        if not text or room is None or member not in room.members:
            return "", []
        _last = max(_last + 1, time.time_ns() // 1000)
        message = json.dumps({"number": _last, "name": room.members[member], "text": text})
        room.lines.append(message)
        return message, list(room.members)
