"""The text of a Set-Cookie field (RFC 6265 §4.1).

Start_response.set_cookie and delete_cookie import this module at their first call.
"""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import List, Optional, Union

__all__ = ["cookie", "deleted_cookie", "http_date"]

_ALNUM = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_TOKEN = _ALNUM | frozenset("!#$%&'*+-.^_`|~")  # RFC 9110 §5.6.2
_OCTETS = _TOKEN | frozenset("(/:<=>?@[]{)}")  # cookie-octet, RFC 6265 §4.1.1
# characters that need no escape within quotes, as in http.cookies
_PLAIN = _OCTETS | {" "}
_DOMAIN = _ALNUM | frozenset("-.")
_SAMESITE = {"strict": "Strict", "lax": "Lax", "none": "None"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def cookie(
    key: str,
    value: str = "",
    max_age: Optional[int] = None,
    expires: Union[str, datetime, float, None] = None,
    path: Optional[str] = "/",
    domain: Optional[str] = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: Optional[str] = None,
) -> str:
    """The value of a Set-Cookie field.

    key      -- a token (letters, digits and ``!#$%&'*+-.^_`|~``)
    value    -- latin-1 text without control characters; a value that RFC 6265
                does not permit is quoted in the format of http.cookies
    max_age  -- life in seconds; 0 deletes the cookie
    expires  -- a moment as datetime (without tzinfo: local time), as seconds
                since 1970, or as a ready HTTP date
    path     -- None or "": the folder of the request
    domain   -- None or "": this host only
    samesite -- "Strict", "Lax" or "None"; the last one needs secure, since
                browsers drop the cookie otherwise (RFC 6265bis §5.7)

    ValueError says which argument cannot be sent.
    """
    if not key or not _TOKEN.issuperset(key):
        raise ValueError(f"illegal cookie name: {key!r}")
    parts = [f"{key}={_quoted(key, str(value))}"]
    if expires is not None:
        parts.append("Expires=" + _attribute("expires", _date(expires)))
    if max_age is not None:
        parts.append(f"Max-Age={int(max_age)}")
    if domain:
        if not _DOMAIN.issuperset(domain):
            raise ValueError(f"illegal cookie domain: {domain!r}")
        parts.append("Domain=" + domain)
    if path:
        parts.append("Path=" + _attribute("path", path))
    if secure:
        parts.append("Secure")
    if httponly:
        parts.append("HttpOnly")
    if samesite is not None:
        parts.append("SameSite=" + _samesite(samesite, secure))
    return "; ".join(parts)


def deleted_cookie(key: str, path: Optional[str] = "/", domain: Optional[str] = None) -> str:
    """The Set-Cookie value that makes a browser forget a cookie.

    path and domain must have the values with which the cookie was set (RFC 6265 §5.3 step 11).
    """
    return cookie(key, "", max_age=0, expires=0, path=path, domain=domain)


def http_date(seconds: float) -> str:
    """Returns an HTTP date, ``Sun, 06 Nov 1994 08:49:37 GMT`` (RFC 9110 §5.6.7).

    seconds -- since 1970, as of time.time(). ValueError: a year without four digits.
    """
    from time import gmtime

    try:
        t = gmtime(seconds)
    except (OverflowError, OSError):
        t = None
    if t is None or not 1000 <= t.tm_year <= 9999:
        raise ValueError(f"{seconds!r} cannot be written as an HTTP date")
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year}"
        f" {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )


def _quoted(key: str, value: str) -> str:
    if _OCTETS.issuperset(value):
        return value
    out: List[str] = ['"']
    for char in value:
        code = ord(char)
        if code < 0x20 or code == 0x7F:
            raise ValueError(f"control character in the value of cookie {key}: {value!r}")
        if code > 0xFF:
            raise ValueError(f"cookie {key} has characters outside latin-1; use urllib.parse.quote(): {value!r}")
        if char in '"\\':
            out.append("\\" + char)
        elif char in _PLAIN:
            out.append(char)
        else:
            out.append(f"\\{code:03o}")
    out.append('"')
    return "".join(out)


def _attribute(name: str, value: str) -> str:
    """Returns value if it is an av-value: printable ASCII without ";" (RFC 6265 §4.1.1)."""
    if ";" in value or not value.isascii() or not value.isprintable():
        raise ValueError(f"illegal cookie {name}: {value!r}")
    return value


def _date(expires: Union[str, datetime, float]) -> str:
    if isinstance(expires, str):
        return expires
    if isinstance(expires, (int, float)):
        return http_date(expires)
    try:
        return http_date(expires.timestamp())
    except AttributeError:
        raise ValueError(f"cookie expires must be a datetime, a number or an HTTP date: {expires!r}") from None


def _samesite(samesite: str, secure: bool) -> str:
    word = _SAMESITE.get(str(samesite).lower())
    if word is None:
        raise ValueError(f"cookie samesite must be Strict, Lax or None: {samesite!r}")
    if word == "None" and not secure:
        raise ValueError("cookie samesite None needs secure=True")
    return word
