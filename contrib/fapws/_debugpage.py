"""The page that a browser gets for a handler that raised, when DEBUG is 1 or more, and the text for other clients.

The only script of the page is the one that copies the traceback. It loads no style sheet or image.
"""
from __future__ import annotations

import linecache
from base64 import b64encode
from dis import findlinestarts
from hashlib import sha256
from html import escape
from itertools import islice
from traceback import format_exception

from fapws._arguments import definition
from fapws._brief import MASK, Brief, is_secret, shortened
from fapws._errors import document, note
from fapws._load import theirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType
    from typing import Any, List, Mapping, Optional, Tuple, Type

__all__ = ["page"]

# The server keeps exactly this policy in the place of the one of a site (HasPolicy in runtime/http1/page.go). The
# document has a stricter one.
_HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy",
     "default-src 'none'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; connect-src 'self'"),
]

_CONTEXT = 5  # number of source lines shown above and below a line
_DEFINITION = 30  # maximum number of source lines below the first line of a function
_FRAMES = 40  # maximum number of frames; a recursion can have a thousand frames
_LOCALS = 40
_CHAIN = 10
_MESSAGE = 2000  # maximum number of characters of an exception's message
_PLAIN = 32 * 1024  # maximum number of characters of the plain traceback

# runtime/http1/page.go contains the same script, and explains it.
_COPY = (
    'const p=document.querySelector(".plain"),b=document.createElement("button");b.textContent="Copy";'
    'b.onclick=()=>{const d=p.closest("details");if(d)d.open=true;getSelection().selectAllChildren(p);'
    'if(document.execCommand("copy"))b.textContent="Copied"};(p.closest("details")||p).before(b)'
)
_COPY_HASH = b64encode(sha256(_COPY.encode()).digest()).decode()

# This policy prevents the browser from running a script in a text that was not escaped, and from loading files from
# other sites. With --dev, the server appends its own script, which loads the page again after a change.
_HEAD = f"""\
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'self' 'sha256-{_COPY_HASH}'; connect-src 'self'">
<style>
:root{{--hot:#fde8e6}}@media(prefers-color-scheme:dark){{:root{{--hot:#4a2320}}}}
body{{font-size:15px;border-top:6px solid var(--red)}}header,main{{max-width:70rem;margin:auto;padding:1rem}}
h1{{margin:.5rem 0;color:var(--red)}}h1 span{{color:var(--fg);white-space:pre-wrap}}h2{{margin:2rem 0 .5rem;font-size:1.1rem}}
code,td{{font:13px/1.5 ui-monospace,Consolas,monospace}}
details{{margin:.5rem 0;border:1px solid var(--line);border-radius:var(--round);background:var(--box)}}
details details{{margin:.5rem .8rem;border:0}}summary{{padding:.4rem .8rem;cursor:pointer}}
details.last{{border-color:var(--red)}}
pre{{padding:.5rem 0;overflow:auto hidden;border-width:1px 0 0;border-radius:0}}
pre span{{display:block;padding:0 .8rem;min-width:max-content}}
pre i{{display:inline-block;width:3.5em;color:var(--dim);font-style:normal}}
pre .hot{{background:var(--hot)}}
mark{{background:none;color:inherit;text-decoration:underline wavy var(--red);text-underline-offset:3px}}
table{{width:100%;border-collapse:collapse}}td{{padding:.15rem .8rem;vertical-align:top}}
td:first-child{{width:1%;white-space:nowrap;color:var(--dim)}}pre.plain{{padding:.5rem .8rem;white-space:pre-wrap}}
</style>
"""


def page(
    exc_type: Type[BaseException],
    exc: Optional[BaseException],
    tb: Optional[TracebackType],
    environ: Mapping[str, Any],
    handler_name: str,
    handler: Any = None,
) -> Tuple[List[Tuple[str, str]], bytes]:
    """Returns the headers and the body of a response about an exception that a handler has raised: an HTML document or,
    if the client does not accept HTML, the traceback.

    All texts are escaped and limited in length; credentials in environ, and variables with a name such as password, are
    masked. If no line of the user's code has raised the exception, for example because the server rejects the result of
    handler, the page shows the definition of handler. Never raises an exception, and omits values that cannot be shown.
    Must be called on the thread that has run the handler.
    """
    headers = _HEADERS
    try:
        shown = _Page(environ)
        own, raised = theirs(tb), exc if exc is not None else exc_type()
        if "text/html" in str(environ.get("HTTP_ACCEPT", "text/html")):
            text = shown.build(raised, own or tb, handler_name, None if own else handler)
        else:
            headers = [("Content-Type", "text/plain; charset=utf-8")]
            text = f"{shown.traceback(raised, own or tb)}\n{shown.note}\n"
    # An error in this function must not replace the exception that the page shows.
    except BaseException as error:
        headers = _HEADERS
        text = document(
            "Error", _HEAD,
            f"<header><h1>{escape(_name(exc_type))}</h1><p>No details: {escape(_name(type(error)))}.</p></header>",
        )
    return headers, text.encode("utf-8", "backslashreplace")


class _Page:
    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.environ = environ
        self.brief = Brief(environ)
        self.note = note(str(environ.get("fapws.request_id", "")))

    def build(self, exc: BaseException, tb: Optional[TracebackType], handler_name: str, unseen: Any) -> str:
        title = self.escaped(_name(type(exc)))
        request = f"{self.environ.get('REQUEST_METHOD', '')} {self.environ.get('RAW_URI', '')}"
        parts = [
            f"<header><p class=dim>{self.escaped(request)[:2000]} · handler {self.escaped(handler_name)}"
            f" · {self.escaped(self.note)}</p>",
            f"<h1>{title}{self.message(exc)}</h1></header><main>",
        ]
        for number, (link, error, trace) in enumerate(_chain(exc, tb)):
            if number:
                parts.append(f"<h2>{link} {self.escaped(_name(type(error)))}{self.message(error)}</h2>")
            if number == 0 and unseen is not None:
                parts.append(self.definition(unseen))
            parts.append(self.frames(trace, open_first=number == 0))
        parts += [self.request(), self.plain(exc, tb), "</main>"]
        return document(title, _HEAD, "".join(parts))

    def escaped(self, text: str) -> str:
        return escape(self.brief.masked(text))

    def message(self, exc: BaseException) -> str:
        try:
            text = self.brief.masked(str(exc))
        except BaseException:  # __str__ may be defined by the application.
            return "<span>: (its text cannot be read)</span>"
        if len(text) > _MESSAGE:
            text = text[:_MESSAGE] + "…"
        return f"<span>: {escape(text)}</span>" if text else ""

    def frames(self, tb: Optional[TracebackType], open_first: bool) -> str:
        """Returns the HTML of the frames of a traceback, the innermost frame first."""
        stack = []
        while tb is not None:
            stack.append((tb.tb_frame, tb.tb_lineno, tb.tb_lasti))
            tb = tb.tb_next
        stack.reverse()
        if not stack:
            return ""
        left_out = max(0, len(stack) - _FRAMES)
        shown = [self.frame(*entry, first=open_first and at == 0) for at, entry in enumerate(stack[: _FRAMES - 1])]
        if left_out:
            shown.append(f"<p class=dim>… {left_out} more frames …</p>")
        if len(stack) >= _FRAMES:
            shown.append(self.frame(*stack[-1], first=False))
        order = "<p class=dim>Innermost call first.</p>" if open_first and len(stack) > 1 else ""
        return order + "".join(shown)

    def definition(self, handler: Any) -> str:
        code = definition(handler)
        if code is None:
            return ""
        line = code.co_firstlineno
        end = max([line, *(number for _, number in findlinestarts(code) if number)])
        source = self.source(linecache.getlines(code.co_filename)[:end], code, line, -1, _DEFINITION)
        return (
            f"<details class=last open><summary><code>{self.escaped(code.co_filename)}:{line}</code> defines"
            f" <b>{escape(code.co_name)}</b></summary>{source}</details>"
        )

    def frame(self, frame: FrameType, line: int, instruction: int, first: bool) -> str:
        code = frame.f_code
        linecache.checkcache(code.co_filename)
        lines = linecache.getlines(code.co_filename, frame.f_globals)
        where = f"<code>{self.escaped(code.co_filename)}:{line}</code> in <b>{escape(code.co_name)}</b>"
        if not first and line <= len(lines):
            where += f" <code class=dim>{self.escaped(lines[line - 1].strip()[:100])}</code>"
        return (
            f"<details class={'last' if first else 'call'}{' open' if first else ''}><summary>{where}</summary>"
            f"{self.source(lines, code, line, instruction)}{self.locals(frame, first)}</details>"
        )

    def source(
        self, lines: List[str], code: CodeType, line: int, instruction: int, after: int = _CONTEXT
    ) -> str:
        first = max(1, line - _CONTEXT)
        rows = []
        for number, text in enumerate(lines[first - 1 : line + after], first):
            text = text.rstrip("\r\n")
            if number == line:
                shown = self.marked(text, _columns(code, instruction, line))
                rows.append(f'<span class="hot"><i>{number}</i>{shown}</span>')
            else:
                rows.append(f"<span><i>{number}</i>{self.escaped(text[:500])}</span>")
        return f"<pre>{''.join(rows)}</pre>" if rows else ""

    def marked(self, text: str, columns: Optional[Tuple[int, int]]) -> str:
        """Returns the HTML of a source line in which the failing expression is underlined."""
        if columns is None or len(text) > 500:
            return self.escaped(text[:500])
        raw = text.encode("utf-8")  # the columns are numbers of bytes
        start, end = columns
        if raw[start:end] == raw.strip():
            # Mark nothing if the expression is the whole line, because the mark would add no information.
            return self.escaped(text)
        before, hot, after = (piece.decode("utf-8", "replace") for piece in (raw[:start], raw[start:end], raw[end:]))
        return f"{self.escaped(before)}<mark>{self.escaped(hot)}</mark>{self.escaped(after)}"

    def locals(self, frame: FrameType, is_open: bool) -> str:
        variables = frame.f_locals
        # Omit the variables of a module's top level, which are mostly functions and imports.
        if not variables or frame.f_code.co_name == "<module>":
            return ""
        rows = [(name, self.brief.value(value, name)) for name, value in islice(variables.items(), _LOCALS)]
        return f"<details{' open' if is_open else ''}><summary>Variables</summary>{_table(rows)}</details>"

    def request(self) -> str:
        rows = []
        for key in sorted(map(str, self.environ.keys()))[:200]:
            # use dict.get, because Environ would compute keys such as fapws.params
            value = dict.get(self.environ, key) if isinstance(self.environ, dict) else self.environ.get(key)
            if isinstance(value, str):
                shown = MASK if is_secret(key) else shortened(self.brief.masked(value))
            else:
                shown = self.brief.value(value, key)
            rows.append((key, shown))
        return f"<h2>Request</h2><details><summary>environ</summary>{_table(rows)}</details>"

    def traceback(self, exc: BaseException, tb: Optional[TracebackType]) -> str:
        text = self.brief.masked("".join(format_exception(type(exc), exc, tb)))
        return text if len(text) <= _PLAIN else text[: _PLAIN // 2] + "\n…\n" + text[-_PLAIN // 2 :]

    def plain(self, exc: BaseException, tb: Optional[TracebackType]) -> str:
        try:
            text = self.traceback(exc, tb)
        except BaseException:
            return ""
        return (
            f"<h2>Traceback</h2><details><summary>Plain text</summary><pre class=plain>{escape(text)}</pre></details>"
            f"<script>{_COPY}</script>"
        )


def _chain(exc: BaseException, tb: Optional[TracebackType]) -> List[Tuple[str, BaseException, Optional[TracebackType]]]:
    """Returns exc and the exceptions that have caused it, beginning with exc."""
    chain = [("", exc, tb)]
    seen = {id(exc)}
    while len(chain) < _CHAIN:
        cause, context = exc.__cause__, exc.__context__
        if cause is not None:
            link, exc = "Caused by", cause
        elif context is not None and not exc.__suppress_context__:
            link, exc = "Raised while handling", context
        else:
            break
        if id(exc) in seen:
            break
        seen.add(id(exc))
        chain.append((link, exc, exc.__traceback__))
    return chain


def _columns(code: CodeType, instruction: int, line: int) -> Optional[Tuple[int, int]]:
    """Returns the positions in bytes at which an instruction begins and ends in its source line, or None before Python
    3.11."""
    positions = getattr(code, "co_positions", None)
    if positions is None or instruction < 0:
        return None
    start_line, end_line, start, end = next(islice(positions(), instruction // 2, None), (None,) * 4)
    if start_line != line or end_line != line or start is None or end is None:
        return None
    return start, end


def _name(kind: Type[BaseException]) -> str:
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _table(rows: List[Tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><td>{escape(str(key))}<td>{escape(text)}" for key, text in rows) + "</table>"
