"""Pages that the server caches in memory and sends without Python.

``cached`` in PATHS selects pages, ``purge`` removes them::

    from fapws.cache import cached, purge

    def save(environ, start_response):
        ...
        purge("/blog/*")
        return redirect(start_response, "/blog/")

    PATHS = [
        ("/blog/save", save),
        ("/blog/", cached(blog, ttl=60, stale=30)),
    ]

Never cached are responses with Set-Cookie, with ``Cache-Control: private`` or
``no-store``, with a status other than 200, 301 and 308 unless
they have max-age, and responses to requests with Authorization or Cookie unless
they have ``public`` or ``s-maxage``. The lifetime that a response states (max-age,
s-maxage, Expires, stale-while-revalidate, stale-if-error) overrides that of
``cached``. A page that is no longer fresh, or has ``no-cache``, is revalidated if it has an ETag
or Last-Modified: the application gets a request with If-None-Match and
If-Modified-Since, and on 304 the page is sent. The field ``Fapws-Cache-Tags: news, sport`` sets tags for
``purge(tag="news")``. Responses have a field ``Fapws-Cache``: hit, miss,
stale, expired, revalidated or bypass. Each worker has a separate cache.
"""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Mapping, Optional, Sequence, Union

__all__ = ["cached", "purge"]


class cached:
    """An entry of PATHS, or an application, whose responses the server caches.

    app       -- handles requests for pages that are not cached; as in PATHS; required
    ttl       -- lifetime in seconds of pages that do not state one; None: cache only pages that state one
    stale     -- seconds after the lifetime in which the page is still sent while a new one is generated
    heuristic -- if not 0: cache a page that states only its modification time for a tenth of its age, up to this many
                 seconds
    vary      -- names of request fields that distinguish pages, in addition to the page's own Vary
    query     -- whether the part after "?" distinguishes pages
    status    -- statuses that ttl applies to, instead of 200, 301 and 308
    compress  -- send zstd or gzip to clients that accept them
    cookies   -- "bypass": requests with Cookie use the cache only for public pages; "ignore": they use it for all pages

    The server reads the arguments once, at startup. If a handler calls the object, it only calls ``app``.
    TypeError, ValueError: wrong argument.
    """

    def __init__(
        self,
        app: Optional[Callable[..., Any]] = None,
        ttl: Optional[float] = None,
        *,
        stale: float = 0,
        heuristic: float = 0,
        vary: Sequence[str] = (),
        query: bool = True,
        status: Optional[Iterable[int]] = None,
        compress: bool = True,
        cookies: str = "bypass",
    ) -> None:
        if app is None or isinstance(app, (int, float)):
            raise TypeError(
                f"cached: the first argument must be the application, not {app!r}: "
                'write ("/path", cached(app, ttl=60)) in PATHS instead of @cached(ttl=60) above a function'
            )
        if cookies not in ("bypass", "ignore"):
            raise ValueError(f'cached: cookies must be "bypass" or "ignore", not {cookies!r}')
        if isinstance(vary, str):
            vary = [vary]
        self.__wrapped__ = app
        self._rule = {
            "ttl": _nanoseconds("ttl", 0 if ttl is None else ttl),
            "stale": _nanoseconds("stale", stale),
            "heuristic": _nanoseconds("heuristic", heuristic),
            "vary": [_name(name) for name in vary],
            "ignore_query": not query,
            "compress": bool(compress),
            "ignore_cookies": cookies == "ignore",
        }
        if status is not None:
            self._rule["status"] = [_status(code) for code in status]

    def __repr__(self) -> str:
        return f"cached({self.__wrapped__!r})"

    @property
    def _fapws_cache(self) -> str:
        """The options of the cache as JSON, which the server reads."""
        from json import dumps

        return dumps(self._rule)

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Any:
        return self.__wrapped__(environ, start_response)


def purge(path: Optional[str] = None, *, host: Optional[str] = None, tag: Optional[str] = None) -> None:
    """Removes pages from the cache of all workers.

    path -- as in the URL: "/page" with any query, "/page?a=1", "/blog/*" for all paths with this prefix, "*" for all
            pages
    host -- only pages of this host, with a port other than the scheme's: "example.org:8080"; None: of all
    tag  -- instead of path: pages with this tag in Fapws-Cache-Tags

    It returns at once. No request that arrives after the response of the calling handler gets such a page from this
    worker; other workers follow a moment later. ValueError: neither path nor tag, both, or a path without a slash at
    its beginning. RuntimeError: this process is a child of the server. Any thread may call it.
    """
    from json import dumps

    if (path is None) == (tag is None):
        raise ValueError("purge: takes a path or a tag")
    if path is not None and path != "*" and not path.startswith("/"):
        raise ValueError(f"purge: a path must begin with a slash, not {path!r}")
    from fapws._native import cache_purge

    pattern = {"path": path, "host": host, "tag": tag}
    cache_purge(dumps({key: value for key, value in pattern.items() if value is not None}))


def _nanoseconds(name: str, value: Union[int, float]) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"cached: {name} must be a number of seconds, not {value!r}")
    if not 0 <= value <= 366 * 86400:
        raise ValueError(f"cached: {name} must be 0 to 366 days in seconds, not {value!r}")
    return int(value * 10**9)


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"cached: vary takes names of header fields, not {name!r}")
    if not name or name == "*" or any(c <= " " or c >= "\x7f" or c in '"(),/:;<=>?@[\\]{}' for c in name):
        raise ValueError(f"cached: vary: {name!r} is not a valid header field name")
    return name


def _status(code: Any) -> int:
    if isinstance(code, bool) or not isinstance(code, int):
        raise TypeError(f"cached: status takes numbers, not {code!r}")
    if not 200 <= code <= 599 or code in (206, 304):
        raise ValueError(f"cached: status {code} cannot be cached")
    return code
