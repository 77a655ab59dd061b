"""An exception that is an answer: ``raise HTTPError(404, "No such page")``."""
from __future__ import annotations

from html import escape
from http import HTTPStatus
from time import strftime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, List, Mapping, Tuple, Union

__all__ = ["HTTPError"]

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")  # RFC 9110 §5.6.2
_IN_A_LOG = 200  # maximum number of characters of the text in a log line


class HTTPError(Exception):
    """An exception that becomes the response, wherever a handler raises it.

    status  -- 400 to 599; or 300 to 399 with Location among the headers
    text    -- shown on the page; HTML in it is escaped
    headers -- additional fields: (name, value) pairs or a mapping. With a Content-Type, the body is text, not a page

    The exception replaces the status and fields that the handler has set before. After a part of the response has been
    sent, it aborts the response like any other exception. TypeError, ValueError: wrong argument.
    """

    def __init__(
        self,
        status: int,
        text: str = "",
        headers: Union[Iterable[Tuple[str, str]], Mapping[str, str]] = (),
    ) -> None:
        super().__init__(status, text)
        if not isinstance(status, int) or isinstance(status, bool):
            raise TypeError(f"HTTPError: the status must be a number such as 404, not {status!r}")
        if not isinstance(text, str):
            raise TypeError(f"HTTPError: the text must be a str, not {text!r}")
        self.status = int(status)
        self.text = text
        self.headers = _pairs(headers)
        names = {name.lower() for name, _ in self.headers}
        if not 300 <= self.status <= 599:
            raise ValueError(f"HTTPError: the status must be from 400 to 599, not {self.status}")
        if self.status < 400 and "location" not in names:
            raise ValueError(f"HTTPError: status {self.status} needs a Location in headers")
        self._whole = "content-type" in names

    @property
    def reason(self) -> str:
        """The phrase that goes with the status: "Not Found"."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return "Error" if self.status >= 400 else "Redirect"

    def __str__(self) -> str:
        return f"{self.status} {self.reason}" + (f": {self.text}" if self.text else "")

    def __call__(self, environ: Any, start_response: Callable[..., Any]) -> List[bytes]:
        """Sends the response. The server calls the exception like a WSGI application."""
        headers = list(self.headers)
        body = self.text
        if not self._whole:
            headers.append(("Content-Type", "text/html; charset=utf-8"))
            if self.status >= 400 and not any(name.lower() == "content-security-policy" for name, _ in headers):
                headers.append(("Content-Security-Policy", _POLICY))
            environ = environ or {}
            small = note(environ.get("fapws.request_id", "")) if self.status >= 500 else ""
            body = _page(self.status, self.reason, self.text, environ.get("HTTP_X_FORWARDED_PREFIX", ""), small)
        start_response(f"{self.status} {self.reason}", headers)
        return [body.encode("utf-8", "replace")]

    def _log(self) -> str:
        """Returns one line for the log. The text is escaped, because it may come from a client."""
        line = str(self)[:_IN_A_LOG]
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


# Pages have the form of the server's own pages; runtime/http1 has the same style (page.css) and sentences (page.go).
STYLE = """\
:root{color-scheme:light dark;--bg:#f5f6f8;--box:#fff;--fg:#14171f;--dim:#596070;--line:#e2e5eb;
--red:#b3241c;--do:#2b5be0;--on:#fff;--round:8px}
@media(prefers-color-scheme:dark){:root{--bg:#0e1014;--box:#171a20;--fg:#e9ebf0;--dim:#9ba3b2;--line:#272b34;
--red:#ff8f86;--do:#86a5ff;--on:#0e1014}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{margin:0 0 .5rem;font-size:1.4rem;line-height:1.25}p{margin:.5rem 0}
a{color:var(--do)}.dim{color:var(--dim)}.bad{color:var(--red)}.small{font-size:.8rem}
:focus-visible{outline:2px solid var(--do);outline-offset:2px}
pre{margin:0;padding:.5rem .8rem;overflow:auto;border:1px solid var(--line);border-radius:var(--round);
background:var(--box);font:13px/1.5 ui-monospace,Consolas,monospace}
.card{width:calc(100% - 2rem);max-width:26rem;margin:18vh auto 2rem;padding:1.5rem;
border:1px solid var(--line);border-radius:var(--round);background:var(--box)}
.do{display:inline-block;margin:.5rem .3rem 0 0;padding:.4rem .9rem;
border:1px solid var(--line);border-radius:var(--round);text-decoration:none}
button{margin:0 0 .5rem;padding:.2rem .9rem;border:1px solid var(--line);border-radius:var(--round);background:var(--box);
color:var(--do);font:inherit;cursor:pointer}
.do:first-child{border-color:var(--do);background:var(--do);color:var(--on)}
"""

# The Content-Security-Policy of a page, with the SHA-256 of STYLE. The server does not replace it by the one of a site
# (Policy in runtime/http1/page.go). The constant saves the import of hashlib, which loads OpenSSL.
_POLICY = (
    "default-src 'none'; style-src 'sha256-jq9F6nIjJ3nRYg+/dZdcM4xDwNgQdmTrM6EBw+2q4Rs=';"
    " form-action 'none'; base-uri 'none'"
)

_SENTENCES = {
    401: "You may not see this page.",
    403: "You may not see this page.",
    404: "There is no page at this address.",
    405: "This page does not accept this kind of request.",
    408: "This page took too long.",
    410: "There is no page at this address.",
    413: "What you have sent is too large.",
    429: "The server is busy. Please try again in a moment.",
    502: "The service behind this page has failed.",
    503: "The server is busy. This page tries again by itself.",
    504: "This page took too long.",
}


def note(request_id: str) -> str:
    """Returns the small print of a page: the id and the time under which the log has the request."""
    return (f"Request {request_id}, " if request_id else "") + strftime("%Y-%m-%d %H:%M:%S %z")


def _page(status: int, reason: str, text: str, home: str, small: str) -> str:
    if status < 400:
        paragraph = f"<p>{escape(text)}</p>\n" if text else ""
        return f"<!doctype html><title>{status} {reason}</title>\n<h1>{reason}</h1>\n{paragraph}"
    if not text:
        usual = "does not accept this" if status < 500 else "could not answer this"
        text = _SENTENCES.get(status, f"The server {usual} request.")
    links = f'<a class="do" href="{escape(home)}/">Home page</a>'
    if status in (401, 408, 429) or status >= 500:
        links = f'<a class="do" href="">Try again</a> {links}'
    head = '<meta http-equiv="refresh" content="5">' if status == 503 else ""
    end = f'\n<p class="dim small">{escape(small)}</p>' if small else ""
    return document(
        f"{status} {reason}", head,
        f'<main class="card"><p class="dim">{status}</p><h1>{reason}</h1>\n'
        f'<p>{escape(text)}</p>\n<p>{links}</p>{end}</main>',
    )


def document(title: str, head: str, body: str) -> str:
    """An HTML document in the style of the server. All arguments are HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style>{head}</head><body>\n{body}\n</body></html>\n"
    )


def _pairs(headers: Any) -> List[Tuple[str, str]]:
    pairs: List[Tuple[str, str]] = []
    for pair in headers.items() if hasattr(headers, "items") else headers:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise TypeError(f"HTTPError: headers must be (name, value) pairs of str, not {pair!r}")
        name, value = pair
        if not name or not _TOKEN.issuperset(name):
            raise ValueError(f"HTTPError: {name!r} is not a valid header name")
        if any(char < " " and char != "\t" or char == "\x7f" or char > "\xff" for char in value):
            raise ValueError(f"HTTPError: the value of {name} cannot be sent: {value!r}")
        pairs.append((name, value))
    return pairs
