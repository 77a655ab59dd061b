"""Short descriptions of values for pages about failures. Unlike repr(), a description has a limited length, never
raises an exception, and contains no control characters.
"""
from __future__ import annotations

from itertools import islice
from re import IGNORECASE, compile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, List, Mapping, Set

__all__ = ["MASK", "Brief", "is_secret", "shortened"]

MASK = "••••••"
_SECRET = compile(
    r"passw|passphrase|pass$|pwd|secret|token|api_?key|private_?key|authorization|cookie|credential|session_?id",
    IGNORECASE,
)
_CHARS = 200
_ITEMS = 10
_DEPTH = 3


def is_secret(name: str) -> bool:
    return _SECRET.search(name) is not None


class Brief:
    """Formats values without showing the secrets of one request."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        #: Secrets to mask, the longest first, because a secret may contain a shorter secret.
        self.secrets = sorted(_secret_texts(environ), key=len, reverse=True)

    def masked(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text

    def value(self, value: Any, name: str = "") -> str:
        """Returns a description of at most about 200 characters. Never raises an exception."""
        if name and is_secret(name):
            return MASK
        try:
            # Mask secrets before truncating the text, because a truncated secret would not be recognized.
            text = self.masked(_text(value, _DEPTH))
        except BaseException as error:  # __repr__ may be defined by the application.
            return f"<{_type_name(value)}: no repr, {type(error).__name__}>"
        return shortened(text)


def shortened(text: str) -> str:
    return text if len(text) <= _CHARS else text[: _CHARS - 1] + "…"


def _secret_texts(environ: Mapping[str, Any]) -> Set[str]:
    texts: Set[str] = set()
    for key, value in environ.items():
        if isinstance(value, str) and isinstance(key, str) and is_secret(key):
            texts.add(value)
            # Mask also each part of the value, because variables may contain parts, such as a cookie's value.
            for part in value.replace(";", " ").replace(",", " ").split():
                texts.add(part)
                texts.add(part.partition("=")[2])
    # Do not mask texts of less than six characters, because these occur in many other words of the page.
    return {text for text in texts if len(text) >= 6}


def _text(value: Any, depth: int) -> str:
    """Like repr(), but limits the length of containers and texts, which can be endless."""
    kind: Any = type(value)
    if isinstance(value, dict):
        # subclasses of dict, too, such as environ: their keys show which values are secret
        body = _joined((_pair(key, item, depth) for key, item in islice(value.items(), _ITEMS)), len(value), depth)
        return "{" + body + "}" if kind is dict else f"{kind.__name__}({{{body}}})"
    if kind in (list, tuple, set, frozenset):
        left, right = {list: "[]", tuple: "()", set: "{}", frozenset: ("frozenset({", "})")}[kind]
        body = _joined((_text(item, depth - 1) for item in islice(value, _ITEMS)), len(value), depth)
        return left + body + ("," if kind is tuple and len(value) == 1 else "") + right
    if kind in (str, bytes, bytearray):
        # Keep twice the shown length, so that a secret across the end of the shown part can be masked.
        if len(value) > 2 * _CHARS:
            return f"{value[:2 * _CHARS]!r}… ({len(value)})"
        return repr(value)
    if kind is int and value.bit_length() > 2000:
        return f"<int of {value.bit_length()} bits>"
    return repr(value)


def _pair(key: Any, item: Any, depth: int) -> str:
    text = repr(MASK) if isinstance(key, str) and is_secret(key) else _text(item, depth - 1)
    return f"{_text(key, 1)}: {text}"


def _joined(texts: Iterable[str], total: int, depth: int) -> str:
    if total and depth <= 0:
        return "…"
    parts: List[str] = list(texts)
    if total > len(parts):
        parts.append("…")
    return ", ".join(parts)


def _type_name(value: Any) -> str:
    return str(type(value).__name__)
