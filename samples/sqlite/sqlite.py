"""A guest book in SQLite.

./build.sh run samples/sqlite/sqlite.py [BOOK.db]      then open http://127.0.0.1:8888/
"""
import os
import sqlite3
import sys
import threading
import time
from html import escape

from fapws.contrib.headers import redirect

BOOK = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "guestbook.db")
SHOWN = 50

PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<title>Guest book</title>
<style>
:root{{color-scheme:light dark;--line:#8884}}
body{{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem}}
form{{display:grid;gap:.6rem}}input,textarea,button{{font:inherit;padding:.4rem .6rem}}button{{justify-self:start}}
article{{border-top:1px solid var(--line);margin-top:1rem;padding-top:.5rem}}
article p{{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}}small{{color:gray}}
</style>
<h1>Guest book</h1>
<form method=post action=/sign>
<input name=name placeholder="Your name" required maxlength=80>
<textarea name=text placeholder="What you want to say" required maxlength=2000 rows=3></textarea>
<button>Sign</button>
</form>
{entries}
"""

local = threading.local()


def book():
    """Returns the connection of this thread. Only the thread that made a sqlite3 connection may use it, so each handler
    thread has its own connection, which closes with the thread. SQLite's locks protect the file."""
    try:
        return local.connection
    except AttributeError:
        # SQLite waits up to 10 s for another writer, and commits each statement at once.
        local.connection = sqlite3.connect(BOOK, timeout=10, isolation_level=None)
        return local.connection


def index(environ, start_response):
    entries = book().execute("SELECT name, text, at FROM entry ORDER BY id DESC LIMIT ?", (SHOWN,))
    return PAGE.format(
        entries="".join(
            f"<article><small>{escape(name)}, {time.strftime('%d %B %Y %H:%M', time.localtime(at))}</small>"
            f"<p>{escape(text)}</p></article>"
            for name, text, at in entries
        )
    )


def sign(environ, start_response):
    params = environ["fapws.params"]
    name = params.get("name", [""])[0].strip()[:80]
    text = params.get("text", [""])[0].strip()[:2000]
    if environ["REQUEST_METHOD"] == "POST" and name and text:
        # With "?" instead of an f-string, SQLite never executes text from a visitor.
        book().execute("INSERT INTO entry (name, text, at) VALUES (?, ?, ?)", (name, text, time.time()))
    return redirect(start_response, "/", status=303)


# This runs once, before the first request. WAL lets visitors read while a visitor writes.
book().execute("PRAGMA journal_mode = WAL")
book().execute("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, name TEXT, text TEXT, at REAL)")

PATHS = [
    ("/sign", sign),
    ("/", index),
]
