"""The state of chat.py, shared by all of its processes: rooms, members and messages.

The state is in an SQLite file next to this script, or in the file that the command line names: fapws chat.py -- FILE.
Each call is one short transaction.
"""
import json
import os
import sqlite3
import sys
import threading
import time
import uuid
from contextlib import contextmanager

from rooms import LINES, LONGEST, ROOMS

FILE = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "chat.db")
PEOPLE = 200  # maximum number of names shown for a room
SILENT = 15  # seconds without a beat after which a process is dead and its members are removed

_process = uuid.uuid4().hex
_mine = {}  # members of this process: {number: (room, name)}
_local = threading.local()


def _open():
    """Returns a connection to FILE, with the tables created."""
    book = sqlite3.connect(FILE, timeout=10, isolation_level=None)
    book.execute("PRAGMA journal_mode = WAL")  # no commit waits for the disk
    book.executescript("""
        CREATE TABLE IF NOT EXISTS room (title TEXT UNIQUE);
        CREATE TABLE IF NOT EXISTS line (number INTEGER PRIMARY KEY, room TEXT, message TEXT);
        CREATE INDEX IF NOT EXISTS line_room ON line (room, number);
        CREATE TABLE IF NOT EXISTS member (number INTEGER PRIMARY KEY, room TEXT, name TEXT, process TEXT, seen REAL);
        CREATE INDEX IF NOT EXISTS member_room ON member (room);
    """)
    return book


def _which():
    """Returns the inode of FILE, which changes if the file is replaced, or None if FILE does not exist."""
    try:
        return os.stat(FILE).st_ino
    except OSError:
        return None


@contextmanager
def _change():
    """A context manager for a transaction. Writers in other threads and processes wait until the transaction ends."""
    which = _which()
    if which is None or which != getattr(_local, "which", None):  # the file may have been deleted
        _local.book = _open()  # a connection belongs to the thread that created it
        _local.which = _which()
    book = _local.book
    book.execute("BEGIN IMMEDIATE")
    try:
        yield book
        book.execute("COMMIT")
    except BaseException:
        if book.in_transaction:
            book.execute("ROLLBACK")
        raise


def enter(room, name):
    """Adds a member: returns its number and the messages of the room, or None if there are too many rooms."""
    with _change() as book:
        if not book.execute("SELECT 1 FROM room WHERE title = ?", (room,)).fetchone():
            [(rooms,)] = book.execute("SELECT count(*) FROM room")
            if rooms >= ROOMS:  # forget rooms without members, the oldest first
                empty = book.execute(
                    "SELECT title FROM room WHERE title NOT IN (SELECT room FROM member) ORDER BY rowid LIMIT ?",
                    (rooms - ROOMS + 1,),
                ).fetchall()
                book.executemany("DELETE FROM line WHERE room = ?", empty)
                book.executemany("DELETE FROM room WHERE title = ?", empty)
                if rooms - len(empty) >= ROOMS:
                    return None
            book.execute("INSERT INTO room (title) VALUES (?)", (room,))
        member = uuid.uuid4().int >> 66  # unique, even after the file was deleted
        book.execute(
            "INSERT INTO member (number, room, name, process, seen) VALUES (?, ?, ?, ?, ?)",
            (member, room, name, _process, time.time()),
        )
        _mine[member] = room, name
        return member, [
            message for message, in book.execute("SELECT message FROM line WHERE room = ? ORDER BY number", (room,))
        ]


def leave(member):
    _mine.pop(member, None)
    with _change() as book:
        book.execute("DELETE FROM member WHERE number = ?", (member,))


def present(room):
    """Returns the message that lists the members. Each message has a number. If a page has got two lists, the list with
    the larger number is newer."""
    with _change() as book:
        people = sorted(
            name for name, in book.execute("SELECT name FROM member WHERE room = ? LIMIT ?", (room, PEOPLE))
        )
        return json.dumps({"people": people, "number": time.time_ns() // 1000}, ensure_ascii=False)


def add_line(member, text):
    """Stores a line. Returns its message, or None if the line is empty. For the number of a line, see rooms.add_line.
    """
    text = text.strip()[:LONGEST]
    if not text or member not in _mine:
        return None
    room, name = _mine[member]
    with _change() as book:
        [(last,)] = book.execute("SELECT max(number) FROM line")
        number = max((last or 0) + 1, time.time_ns() // 1000)
        message = json.dumps({"number": number, "name": name, "text": text}, ensure_ascii=False)
        book.execute("INSERT INTO line (number, room, message) VALUES (?, ?, ?)", (number, room, message))
        book.execute(
            "DELETE FROM line WHERE room = ?1 AND number <= (SELECT number FROM line WHERE room = ?1 ORDER BY number"
            " DESC LIMIT 1 OFFSET ?2)", (room, LINES),
        )
        return message


def beat():
    """Marks this process as alive. Removes members of dead processes, and returns their rooms."""
    with _change() as book:
        now = time.time()
        book.executemany("INSERT OR REPLACE INTO member (number, room, name, process, seen) VALUES (?, ?, ?, ?, ?)",
                         [(member, room, name, _process, now) for member, (room, name) in list(_mine.items())])
        rooms = [room for room, in book.execute("SELECT DISTINCT room FROM member WHERE seen < ?", (now - SILENT,))]
        book.execute("DELETE FROM member WHERE seen < ?", (now - SILENT,))
        return rooms


try:
    with _change():
        pass
except sqlite3.Error as error:
    sys.exit(f"chat: {FILE}: {error}; use another file for the messages: fapws chat.py -- FILE")
