"""The rooms, members and messages of chat_async.py, in the memory of one process, and functions that chat.py also uses.

This module does not send anything. Threads and tasks may share a Room, because each function is short
and holds the lock of all rooms.
"""
import json
import threading
import time
from collections import deque
from urllib.parse import parse_qs

LINES = 100  # maximum number of stored lines of a room
ROOMS = 1000  # maximum number of rooms
LONGEST = 2000  # maximum number of characters in a line; the maximum for a name or a room is 40
SUBPROTOCOL = "chat"

_rooms = {}
_lock = threading.Lock()
_last = 0


class Room:
    def __init__(self):
        self.members = {}  # names of the members, by client
        self.lines = deque(maxlen=LINES)  # messages as JSON, as add_line returns them


def parse_query(query):
    """Returns the room and the name in a query string, or None if one is missing or invalid."""
    found = parse_qs(query)
    room, name = (" ".join(found.get(key, [""])[0].split()) for key in ("room", "name"))
    return (room, name) if all(0 < len(word) <= 40 and word.isprintable() for word in (room, name)) else None


def enter(title, member, name):
    """Adds a member. Returns the stored messages of the room, or None if there are too many rooms."""
    with _lock:
        if title not in _rooms:
            for other in [t for t in _rooms if not _rooms[t].members][:len(_rooms) - ROOMS + 1]:
                del _rooms[other]  # remove rooms without members, the oldest first
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
    """Returns the message that lists the members, and its recipients."""
    with _lock:
        members = dict(_rooms[title].members) if title in _rooms else {}
    return json.dumps({"people": sorted(members.values())}), list(members)


def add_line(title, member, text):
    """Stores a line. Returns its message and the recipients, or "" and [] if the line is empty.

    Each line has a number, the microseconds since 1970. Pages sort lines by number, and recognize those that they have
    shown, even after a restart.
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
