"""The users of a login, from Python: the file of ``--login``, of ``fapws.Login`` and of ``fapws user``.

For a page on which users change their passwords::

    from fapws import users

    if not users.check("users", name, old):
        raise HTTPError(422, "This is not your current password.")
    users.set("users", name, new)          # ends the sessions of this user

The user of the server must be able to write the directory of the file. The functions may be called from any thread.
RuntimeError: this process does not run under fapws, or is a child of the server, also with ``--fork``.
"""
from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from typing import List, Tuple, Union

__all__ = ["check", "list", "remove", "set"]


def check(file: Union[str, PathLike[str]], name: str, password: str) -> bool:
    """Returns whether the file has this user with this password.

    The call computes a hash, which takes about 0.1 seconds. It does not slow down clients that guess passwords: limit
    the number of their attempts. OSError: the file cannot be read. ValueError: the file is damaged.
    """
    return bool(_act("check", file, name, password))


def set(file: Union[str, PathLike[str]], name: str, password: str) -> None:
    """Adds a user, or changes the password of an existing user. A missing file is created; only its owner can read it.

    name     -- up to 64 bytes, without ``:``, ``#`` and control characters
    password -- at least 8 characters, at most 72 bytes

    A new password ends the sessions of the user. The file is replaced as a whole, under the lock that ``fapws user``
    takes, and all workers notice the change at once. ValueError: the text says what is wrong with the name or the
    password.
    """
    _act("set", file, name, password)


def remove(file: Union[str, PathLike[str]], name: str) -> None:
    """Removes a user, and ends the sessions of this user. ValueError: there is no such user."""
    _act("remove", file, name)


def list(file: Union[str, PathLike[str]]) -> List[str]:
    """Returns the names of the users, in the order of the file."""
    return [name for name in _act("list", file).split("\n") if name]


def _act(action: str, file: Union[str, PathLike[str]], name: str = "", password: str = "") -> str:
    try:
        from _fapws import users  # type: ignore[import-not-found]
    except ImportError:
        raise RuntimeError(
            f"users.{action}: works under fapws only; the command for other programs is: fapws user"
        ) from None
    answer: Tuple[int, str] = users(action, os.fsencode(file), name, password)
    error, text = answer
    if error > 0:
        raise OSError(error, os.strerror(error), os.fspath(file))
    if error:
        raise ValueError(text)
    return text
