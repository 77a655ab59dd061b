"""Ready-made entries for PATHS."""
from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Union

__all__ = ["Staticfile"]


class Staticfile:
    """An entry of PATHS that serves the files of a directory: ``PATHS = [("/static", Staticfile("./static"))]``.

    The server handles these requests without Python: media types, ETag and Last-Modified, conditional requests, ranges,
    HEAD, and a ``.br``, ``.zst`` or ``.gz`` version next to a file for clients that accept it. No file outside the
    directory is sent, even through ``..`` or a symbolic link.

    root       -- the directory; a relative path starts at the working directory of fapws, as in Fapws4
    max_age    -- seconds for which clients may cache a file; None: unspecified. ``maxage`` is the name in Fapws4
    index      -- index file of a directory, or several, of which the first existing one is used; True: index.html, None
                  or False: none
    listing    -- list directories without an index file
    dotfiles   -- also send files whose names begin with a dot
    spa        -- file sent, with 200, for missing pages: paths without an extension, or requests whose Accept has
                  text/html
    expires    -- like max_age for some files: ``["*.css=30d", "/img/*=1h", "/build/*=immutable", "*=off"]``; the first
                  pattern applies that matches the name or, with a slash, the path. Times end in s, m, h, d, w or y;
                  also no-cache and no-store
    mime_types -- a file like Apache's mime.types, used before the built-in types
    types      -- media types by extension, ``{"wat": "text/plain"}``, used before all others
    charset    -- charset of text files; None: unspecified
    compress   -- compress text files from 1 KiB to 8 MiB with gzip and zstd; the result is kept until the file changes
    symlinks   -- links to follow: "inside" (those that stay under root), "owner" (of these, links with the owner of
                  their target) or "no"
    expose     -- patterns of names, ``["*.db"]``, that are sent although they look like sources, backups, databases or
                  keys. Files that the configuration names (logs, passwords, the script) are never sent
    headers    -- additional fields of each response: ``{"X-Frame-Options": "DENY"}``

    The server reads the arguments once, at startup. TypeError, ValueError: wrong argument.

    A handler may call the object, to check something first; a subclass may do so in its ``__call__``::

        files = Staticfile("./private")

        def private(environ, start_response):
            if not allowed(environ):
                return redirect(start_response, "/login")
            return files(environ, start_response)
    """

    def __init__(
        self,
        root: Union[str, os.PathLike[str]],
        maxage: Optional[int] = None,
        *,
        max_age: Optional[int] = None,
        index: Union[str, Sequence[str], bool, None] = "index.html",
        listing: bool = False,
        dotfiles: bool = False,
        spa: Optional[str] = None,
        expires: Sequence[str] = (),
        mime_types: Union[str, os.PathLike[str], None] = None,
        types: Optional[Mapping[str, str]] = None,
        charset: Optional[str] = "utf-8",
        compress: bool = True,
        symlinks: str = "inside",
        expose: Sequence[str] = (),
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        if maxage is not None and max_age is not None:
            raise TypeError("Staticfile: max_age and maxage are the same argument")
        self.root = _folder(root)
        self.max_age = _seconds(max_age if maxage is None else maxage)
        self.index = _names(index)
        self.listing = _flag("listing", listing)
        self.dotfiles = _flag("dotfiles", dotfiles)
        self.spa = "" if spa is None else _text("spa", spa)
        self.expires = _rules("expires", expires)
        self.mime_types = "" if mime_types is None else _text("mime_types", os.fspath(mime_types))
        self.types = _texts("types", types)
        self.charset = "off" if charset is None else _text("charset", charset)
        self.compress = _flag("compress", compress)
        self.symlinks = symlinks
        if symlinks not in ("inside", "owner", "no"):
            raise ValueError(f"Staticfile: symlinks must be inside, owner or no, not {symlinks!r}")
        self.expose = _rules("expose", expose)
        self.headers = _texts("headers", headers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"

    @property
    def _fapws_static(self) -> str:
        """The options with which the server itself sends the files, without calling Python."""
        if type(self).__call__ is not Staticfile.__call__:
            # A __call__ of a subclass may check access, so the server must not send files without calling it.
            raise AttributeError("_fapws_static")
        return self._options()

    def _options(self) -> str:
        from json import dumps

        return dumps({
            "root": self.root,
            "index": self.index,
            "listing": self.listing,
            "max_age": -1 if self.max_age is None else self.max_age,
            "dotfiles": self.dotfiles,
            "spa": self.spa,
            "expires": self.expires,
            "mime_types": self.mime_types,
            "types": self.types,
            "charset": self.charset,
            "compress": self.compress,
            "symlinks": self.symlinks,
            "expose": self.expose,
            "headers": self.headers,
        })

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Hand the request back to the server, which answers with the file.

        PATH_INFO says which one. Do not call start_response, the file gives the
        status; fields set with its add_header and set_cookie go along, and a
        Cache-Control among them takes the place of max_age's.
        """
        from fapws._native import static_answer

        return static_answer(self._options(), environ)


def _folder(root: Union[str, os.PathLike[str]]) -> str:
    try:
        path = os.fspath(root)
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise TypeError(f"Staticfile: root must be a path, not {root!r}")
    if not path or "\0" in path:
        raise ValueError(f"Staticfile: root is not a directory: {path!r}")
    return path


def _seconds(max_age: Optional[int]) -> Optional[int]:
    if max_age is None:
        return None
    if isinstance(max_age, bool) or not isinstance(max_age, int):
        raise TypeError(f"Staticfile: max_age must be a number of seconds, not {max_age!r}")
    if not 0 <= max_age <= 2**31 - 1:  # RFC 9111 §1.2.2
        raise ValueError(f"Staticfile: max_age must be 0 to {2**31 - 1} seconds, not {max_age}")
    return max_age


def _names(index: Union[str, Sequence[str], bool, None]) -> List[str]:
    if index is None or index is False:
        return []
    if index is True:
        return ["index.html"]
    names = [index] if isinstance(index, str) else index
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"Staticfile: index must be a file name or a list of them, not {index!r}")
    for name in names:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise ValueError(f"Staticfile: index must be a file name without a directory, not {name!r}")
    return list(names)


def _flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"Staticfile: {name} must be True or False, not {value!r}")
    return value


def _text(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"Staticfile: {name} must be a string, not {value!r}")
    if not value or "\0" in value:
        raise ValueError(f"Staticfile: {name} must not be {value!r}")
    return value


def _texts(name: str, value: Optional[Mapping[str, str]]) -> Dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise TypeError(f"Staticfile: {name} must be a dict of strings, not {value!r}")
    return dict(value)


def _rules(name: str, rules: Sequence[str]) -> List[str]:
    if not isinstance(rules, (list, tuple)) or not all(isinstance(rule, str) for rule in rules):
        example = {"expires": "*.css=30d", "expose": "*.db"}[name]
        raise TypeError(f"Staticfile: {name} must be a list of strings such as {example!r}, not {rules!r}")
    return list(rules)
