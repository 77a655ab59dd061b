"""Entries of PATHS that require a login."""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, Callable, Mapping, Union

__all__ = ["Login"]


class Login:
    """An entry of PATHS for users who have logged in by the form of the server.

    app   -- handles their requests; as in PATHS, also ``cached(...)``; required
    users -- file of users, one "name:hash" in a line, as ``fapws user add`` writes it. If the file does not
             exist, the log shows a code with which a browser creates the first user. All entries of a script must name
             the same file
    title -- heading of the form; "": "Log in"
    logo  -- file of an image above the heading, up to 32 KiB; "": none

    The server checks the login before it calls ``app``. The environ has REMOTE_USER (the name) and AUTH_TYPE ("form").
    A browser that requests a page gets the form, and after the login the page; other clients get 401. A form
    ``<form method="post" action="/_fapws/logout">`` logs out.

    The server reads the arguments once, at startup. If a handler calls the entry, it only calls ``app``.
    TypeError, ValueError: wrong argument.
    """

    def __init__(
        self, app: Callable[..., Any], users: Union[str, PathLike[str]], *, title: str = "",
        logo: Union[str, PathLike[str]] = "",
    ) -> None:
        from os import fspath

        if isinstance(app, (str, bytes)):
            raise TypeError(
                f'Login: the first argument must be the application, not {app!r}: write ("/path", Login(app,'
                ' users="users")) in PATHS'
            )
        files = {"users": fspath(users), "logo": fspath(logo)}
        for name, path in files.items():
            if not isinstance(path, str) or "\0" in path or name == "users" and not path:
                raise ValueError(f"Login: {name} must be the name of a file, not {path!r}")
        if not isinstance(title, str):
            raise TypeError(f"Login: title must be a string, not {title!r}")
        self.__wrapped__ = app
        self._options = {**files, "title": title}

    def __repr__(self) -> str:
        return f"Login({self.__wrapped__!r})"

    @property
    def _fapws_login(self) -> str:
        """The options of the login as JSON, which the server reads."""
        from json import dumps

        return dumps(self._options)

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Any:
        return self.__wrapped__(environ, start_response)
