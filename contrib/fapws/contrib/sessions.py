"""Sessions: data that the server stores for each browser::

    from fapws.contrib.sessions import Sessions

    sessions = Sessions("sessions.db")

    @sessions
    def count(environ, start_response):
        session = environ["fapws.session"]
        session["visits"] = session.get("visits", 0) + 1
        return f"visit {session['visits']}"

``Session`` is the class of fapws3, for scripts that keep the records themselves.
"""
from __future__ import annotations

import json
import os
import secrets
import sqlite3
from datetime import datetime, timedelta
from time import time

from fapws.contrib._recorder import Recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, MutableMapping, Optional, Union

    Handler = Callable[[Dict[str, Any], Any], Any]

__all__ = ["Session", "Sessions"]

_TEN_DAYS = 10 * 86400


class Session:
    """The data of one session, in a record of the script, with the methods of fapws3.

    sessiondb    -- the record, a dict or similar, which gets "sessionid", "expiration_date" and "strdata"
    max_age      -- seconds until the data expire
    datetime_fmt -- format of "expiration_date" (time.strftime), in local time
    prepare_data -- called with the text of the data before it is stored
    dumps, loads -- convert data to text and back. JSON, unlike fapws3, because unpickling a text from an attacker
                    runs code; pickle.dumps and pickle.loads are possible

    An object is safe for concurrent use only if its record is.
    """

    def __init__(
        self,
        sessiondb: MutableMapping[str, Any],
        max_age: float = _TEN_DAYS,
        datetime_fmt: str = "%Y-%m-%d %H:%M:%S",
        prepare_data: Optional[Callable[[Any], Any]] = None,
        *,
        dumps: Callable[[Any], Any] = json.dumps,
        loads: Callable[[Any], Any] = json.loads,
    ) -> None:
        self.sessiondb, self.max_age, self.datetime_fmt = sessiondb, max_age, datetime_fmt
        self.prepare_data, self._dumps, self._loads = prepare_data, dumps, loads
        if not sessiondb.get("sessionid"):
            self.newid()
        if not sessiondb.get("expiration_date"):
            self.update_expdate()

    def getdata(self) -> Any:
        """Returns the data, or None if missing or expired."""
        expires = self.sessiondb["expiration_date"]
        if isinstance(expires, str):
            expires = datetime.strptime(expires, self.datetime_fmt)
        if not isinstance(expires, datetime):
            raise ValueError(f"expiration_date must be a datetime or text of the form {self.datetime_fmt}: {expires!r}")
        text = self.sessiondb.get("strdata")
        if expires < datetime.now() or not text:
            return None
        return self._loads(text)

    def setdata(self, data: Any) -> None:
        """Stores data; dumps must accept them."""
        text = self._dumps(data)
        self.sessiondb["strdata"] = self.prepare_data(text) if self.prepare_data else text

    def newid(self) -> None:
        """Gives the session another identifier of 256 random bits."""
        self.sessiondb["sessionid"] = secrets.token_hex(32)

    def getid(self) -> str:
        """Returns the identifier."""
        return self.sessiondb["sessionid"]

    def update_expdate(self) -> None:
        """Lets the session last for max_age from now on."""
        self.sessiondb["expiration_date"] = (datetime.now() + timedelta(seconds=self.max_age)).strftime(
            self.datetime_fmt
        )


class _Data(Dict[str, Any] if TYPE_CHECKING else dict):
    """environ["fapws.session"]: a dict that is stored when the handler has returned, if it has changed."""

    def __init__(self, sessions: Sessions, key: str) -> None:
        self._sessions, self._key, self._old = sessions, "", ""
        stored = sessions._load(key) if key else None
        if stored is not None:  # Never use an unknown identifier from a client.
            self._key, self._old = key, stored
            super().__init__(json.loads(stored))

    def renew(self) -> None:
        """Gives the session a new identifier. Call it when a user logs in, so that nobody can use an identifier that
        was known before the login (session fixation)."""
        if self._key:
            self._sessions._delete(self._key)
        self._key = self._old = ""

    def _save(self) -> Optional[str]:
        """Stores the changes. Returns the identifier for the cookie, "" to delete the cookie, or None to keep the
        cookie."""
        if not self:
            if not self._old:
                return None
            self._sessions._delete(self._key)
            return ""
        text = json.dumps(self)
        if text == self._old and not self._sessions._due(self._key):
            return None
        known = bool(self._key)
        if not known:
            self._key = secrets.token_hex(32)
        self._sessions._store(self._key, text, known)
        return self._key


class Sessions:
    """A decorator that gives a handler ``environ["fapws.session"]``, a dict of JSON values.

    path    -- file of an SQLite database, shared by all workers. A missing file is created; only its owner can read it
    max_age -- seconds after the last use until a session is forgotten
    cookie  -- name of the cookie
    secure  -- send the cookie over https only; None means only if the request came over https

    The cookie has 256 random bits, and is HttpOnly and SameSite=Lax. A session is stored when the handler returns, or,
    if it is a generator, has made its first piece; later changes are lost. If two requests change a session at the same
    time, the last one wins; but a session that one of them clears or renews is not stored again by the other.

    session.renew() -- gives the session a new identifier. Call it at a login, so that nobody can use an identifier that
                       was known before (session fixation)
    session.clear() -- ends the session: call it at a logout

    Any thread may call the handler. sqlite3.Error: the database cannot be used.
    """

    def __init__(
        self, path: Union[str, os.PathLike[str]], max_age: int = _TEN_DAYS, cookie: str = "sessionid",
        secure: Optional[bool] = None,
    ) -> None:
        self.path, self.max_age, self.cookie, self.secure = os.path.abspath(path), max_age, cookie, secure
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        self._do("CREATE TABLE IF NOT EXISTS session (key TEXT PRIMARY KEY, expires REAL NOT NULL, data TEXT NOT NULL)")
        self._do("CREATE INDEX IF NOT EXISTS session_expires ON session (expires)")

    def __call__(self, handler: Handler) -> Handler:
        def with_session(environ: Dict[str, Any], start_response: Any) -> Any:
            data = environ["fapws.session"] = _Data(self, self._key(environ))
            head = Recorder()
            result = head.begun(handler(environ, head))
            key = data._save()
            secure = environ.get("wsgi.url_scheme") == "https" if self.secure is None else self.secure
            if key:
                head.set_cookie(self.cookie, key, max_age=self.max_age, secure=secure, httponly=True, samesite="Lax")
            elif key == "":
                head.delete_cookie(self.cookie)
            head.send(start_response)
            return result

        with_session.__name__ = getattr(handler, "__name__", "with_session")
        with_session.__doc__ = handler.__doc__
        return with_session

    def _key(self, environ: Dict[str, Any]) -> str:
        for pair in environ.get("HTTP_COOKIE", "").split(";"):
            name, _, value = pair.partition("=")
            if name.strip() == self.cookie:
                return value.strip()
        return ""

    def _do(self, statement: str, *values: Any) -> Any:
        """Executes a statement on the thread's own connection to the database, and returns the first row of the
        result."""
        connection = sqlite3.connect(self.path, timeout=10)
        try:
            with connection:
                return connection.execute(statement, values).fetchone()
        finally:
            connection.close()

    def _load(self, key: str) -> Optional[str]:
        row = self._do("SELECT data FROM session WHERE key = ? AND expires > ?", key, time())
        return row[0] if row else None

    def _due(self, key: str) -> bool:
        """Whether an unchanged session must be stored again, because a tenth of its lifetime has passed."""
        row = self._do("SELECT expires FROM session WHERE key = ?", key)
        return row is not None and row[0] < time() + self.max_age * 0.9

    def _store(self, key: str, text: str, known: bool) -> None:
        """Stores a session, unless it was loaded earlier and was deleted meanwhile, for example by logging out."""
        self._do("DELETE FROM session WHERE expires <= ?", time())
        new, old = (
            "INSERT INTO session (expires, data, key) VALUES (?, ?, ?)",
            "UPDATE session SET expires = ?, data = ? WHERE key = ?",
        )
        self._do(old if known else new, time() + self.max_age, text, key)

    def _delete(self, key: str) -> None:
        self._do("DELETE FROM session WHERE key = ?", key)
