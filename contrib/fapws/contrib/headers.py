"""Answers that are all header."""
from __future__ import annotations

from fapws._cookies import http_date as rfc1123_date

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional

__all__ = ["redirect", "rfc1123_date"]

_REASONS = {
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
}


def redirect(
    start_response: Callable[..., Any],
    location: str,
    permanent: bool = False,
    status: Optional[int] = None,
) -> List[bytes]:
    """Redirects the client: ``return redirect(start_response, "/login")``.

    location  -- URL or absolute path; characters outside of ASCII are percent-encoded. If it comes from the client,
                 check that it does not lead to another site
    permanent -- 301 instead of 302; browsers remember it
    status    -- 301, 302, 303 (continue with GET, after a form), 307 or 308 (302 and 301 that keep method and body)

    Returns a short page with a link. ValueError: a control character in location, which could begin another field, or
    another status. Source: RFC 9110 §15.4, Fapws4.
    """
    if status is None:
        status = 301 if permanent else 302
    if status not in _REASONS:
        raise ValueError(f"not a redirection: {status!r}")
    target = _url(location)
    line = f"{status} {_REASONS[status]}"
    start_response(line, [("Location", target), ("Content-Type", "text/html; charset=utf-8")])
    link = target.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    return [f'<!doctype html><title>{line}</title><a href="{link}">{link}</a>\n'.encode("ascii")]


def _url(location: str) -> str:
    out = []
    for char in location:
        if char < " " or char == "\x7f":
            raise ValueError(f"control character in the location: {location!r}")
        out.append(char if "!" <= char <= "~" else "".join(f"%{byte:02X}" for byte in char.encode("utf-8")))
    return "".join(out)
