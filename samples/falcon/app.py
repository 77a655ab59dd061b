"""Falcon: a JSON API, with things to do in SQLite.

./build.sh run samples/falcon/app.py      then, for example:

    curl -i -X POST -H 'Content-Type: application/json' -d '{"text": "Learn Falcon"}' http://127.0.0.1:8888/todo
    curl http://127.0.0.1:8888/todo
    curl -X PUT -H 'Content-Type: application/json' -d '{"text": "Learn Falcon", "done": true}' \\
        http://127.0.0.1:8888/todo/1
    curl -i -X DELETE http://127.0.0.1:8888/todo/1
"""
import sqlite3
import threading
from pathlib import Path

import falcon

DATABASE = Path(__file__).resolve().parent / "todo.sqlite3"
local = threading.local()


def database():
    """Returns the connection of this thread: only the thread that made a sqlite3 connection may use it."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(str(DATABASE), timeout=20, isolation_level=None)
        local.connection.row_factory = sqlite3.Row
    return local.connection


def as_json(row):
    return {"id": row["id"], "text": row["text"], "done": bool(row["done"])}


def media(req):
    """Returns the JSON of the request; get_media() answers invalid bodies with 400 and 415."""
    item = req.get_media()
    if not isinstance(item, dict) or not isinstance(item.get("text"), str) or not item["text"].strip():
        raise falcon.HTTPUnprocessableEntity(description='a "text" is needed')
    return item["text"], bool(item.get("done", False))


class Items:
    """The list of all items. Falcon answers other methods with 405 and Allow."""

    def on_get(self, req, resp):
        resp.media = [as_json(row) for row in database().execute("SELECT * FROM item ORDER BY id")]

    def on_post(self, req, resp):
        text, done = media(req)
        cursor = database().execute("INSERT INTO item (text, done) VALUES (?, ?)", (text, done))
        resp.status = falcon.HTTP_201
        resp.location = f"/todo/{cursor.lastrowid}"
        resp.media = {"id": cursor.lastrowid, "text": text, "done": done}


class Item:
    def on_get(self, req, resp, number):
        row = database().execute("SELECT * FROM item WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise falcon.HTTPNotFound(description=f"there is no item {number}")
        resp.media = as_json(row)

    def on_put(self, req, resp, number):
        text, done = media(req)
        if database().execute("UPDATE item SET text = ?, done = ? WHERE id = ?", (text, done, number)).rowcount == 0:
            raise falcon.HTTPNotFound(description=f"there is no item {number}")
        resp.media = {"id": number, "text": text, "done": done}

    def on_delete(self, req, resp, number):
        if database().execute("DELETE FROM item WHERE id = ?", (number,)).rowcount == 0:
            raise falcon.HTTPNotFound(description=f"there is no item {number}")
        resp.status = falcon.HTTP_204


class Fails:
    def on_get(self, req, resp):
        raise RuntimeError("this resource always fails")  # a traceback in the log, a 500 for the client


# Runs before the first request. The table already exists when a second worker starts.
database().execute("CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT, done INTEGER)")

application = falcon.App()
application.add_route("/todo", Items())
application.add_route("/todo/{number:int}", Item())
application.add_route("/fails", Fails())
