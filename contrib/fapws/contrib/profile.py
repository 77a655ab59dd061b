"""A page that shows where the handlers spend their time::

    from fapws.contrib.profile import Profile

    PATHS = [("/profile", Profile()), ...]

While a profile is recorded, a thread samples the stacks of all Python threads a hundred times a second. Without a
recording, the page costs nothing.
"""
from __future__ import annotations

import os
import sys
import threading
from html import escape
from threading import Lock, Thread, current_thread
from time import monotonic, sleep

from fapws._errors import document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Set, Tuple

    Place = Tuple[str, str, int]  # (file, function, line)

__all__ = ["Profile"]

_LONGEST = 60  # in seconds
_DEEPEST = 200
# maximum number of counted places, more than the number of hot lines in a program
_PLACES = 50_000
# Seconds after which a thread that computes must yield to the sampling thread.
# With a longer time, the samples would never contain short handlers.
_SLICE = 0.0005
_STACKS = 5_000
_SHOWN = 1_000

_HEAD = """\
<style>body{font-size:15px}main{max-width:70rem;margin:auto;padding:1rem}
table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem;text-align:left}
td:nth-child(-n+2){text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tr:nth-child(even){background:var(--box)}code{font:13px ui-monospace,monospace}</style>
"""


class _Look:
    """The counts of one profile. Only the sampling thread changes them, and other threads read them after the profile
    has ended."""

    def __init__(self, seconds: float, hertz: int, whole: bool = False) -> None:
        self.seconds, self.hertz = seconds, hertz
        self.samples = 0
        self.busy = 0  # number of counted stacks in all samples
        self.own: Dict[Place, int] = {}  # number of stacks whose innermost frame is at this place
        self.all: Dict[Tuple[str, str], int] = {}  # number of stacks that contain this function
        self.stacks: Optional[Dict[Tuple[Tuple[str, str], ...], int]] = {} if whole else None  # innermost frame first
        self.done = False

    def run(self) -> None:
        end, pause = monotonic() + self.seconds, 1 / self.hertz
        me = current_thread().ident
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_SLICE)
        try:
            while monotonic() < end:
                for ident, stack in _stacks():
                    if ident != me:
                        self.count(stack)
                self.samples += 1
                sleep(pause)
        finally:
            sys.setswitchinterval(usual)
            self.done = True

    def count(self, places: List[Place]) -> None:
        if any(place[0] == _OWN_FILE for place in places):
            return  # Ignore the thread that runs this module.
        place = places[0]
        if place in self.own or len(self.own) < _PLACES:
            self.own[place] = self.own.get(place, 0) + 1
        self.busy += 1
        seen: Set[Tuple[str, str]] = set()
        stack: List[Tuple[str, str]] = []
        for function in (place[:2] for place in places):
            if function not in _FRAME_OF_THREADS:
                stack.append(function)
            if function not in seen and (function in self.all or len(self.all) < _PLACES):
                seen.add(function)
                self.all[function] = self.all.get(function, 0) + 1
        if self.stacks is not None and stack and not _waits_for_events(stack):
            whole = tuple(stack)
            if whole in self.stacks or len(self.stacks) < _STACKS:
                self.stacks[whole] = self.stacks.get(whole, 0) + 1


def _places_of(frame: Optional[FrameType]) -> List[Place]:
    """Returns the stack of a thread, the innermost frame first. Only this frame has a line number."""
    places: List[Place] = []
    while frame is not None and len(places) < _DEEPEST:
        code = frame.f_code
        places.append((code.co_filename, code.co_name, 0 if places else frame.f_lineno or code.co_firstlineno))
        frame = frame.f_back
    return places


def _stacks() -> List[Tuple[int, List[Place]]]:
    """Returns (identifier, stack) for each thread."""
    return [(ident, _places_of(frame)) for ident, frame in sys._current_frames().items()]


try:
    from _fapws import stacks as _native_stacks  # without the GIL, a frame may change while Python reads the frame
except ImportError:
    pass
else:

    def _stacks() -> List[Tuple[int, List[Place]]]:  # noqa: F811
        return [(ident, places) for ident, text in _native_stacks() if (places := _parsed(text))]

    def _parsed(text: bytes) -> List[Place]:
        words = os.fsdecode(text).split("\0")
        return [
            (file, name.rpartition(".")[2], int(line)) for file, line, name in zip(words[::3], words[1::3], words[2::3])
        ]


_OWN_FILE = _Look.run.__code__.co_filename
_ASYNC = "/fapws/_async.py", "<fapws>._async"  # module fapws._async: in the source, in the executable
_FRAME_OF_THREADS = frozenset((threading.__file__, name) for name in ("_bootstrap", "_bootstrap_inner"))


def _waits_for_events(stack: List[Tuple[str, str]]) -> bool:
    """Whether a stack, the innermost frame first, belongs to an idle asyncio event loop."""
    file = stack[0][0]
    return (
        file.endswith(_ASYNC)
        or file.endswith("/selectors.py")
        and any(name == "_run_once" for _, name in stack)
    )


_served: Optional[_Look] = None  # the profile of the status page


def _begin_served(seconds: float) -> bool:
    """Begins a profile for the status page, or returns False while a profile is being recorded. The server makes only
    one such call at a time."""
    global _served
    if _served is not None and not _served.done:
        return False
    _served = _Look(min(seconds, _LONGEST), 100, whole=True)
    Thread(target=_served.run, name="fapws profile", daemon=True).start()
    return True


def _served_stacks() -> str:
    """Returns the stacks in the profile for the status page as JSON: lists of functions, the outermost first, each with
    the number of samples."""
    import json

    stacks = _served.stacks if _served else None
    most = sorted((stacks or {}).items(), key=lambda entry: -entry[1])[:_SHOWN]
    names = {function: f"{function[1]} ({_short(function[0])})"[:120] for stack, _ in most for function in stack}
    return json.dumps(
        [{"frames": [names[function] for function in reversed(stack[-64:])], "n": n} for stack, n in most]
    )


class Profile:
    """A page, as an entry of PATHS, that shows in which lines the handlers spend their time.

    allow -- client addresses (REMOTE_ADDR) that may see the page, which shows names of files and functions; None: all
    hertz -- samples per second, 1 to 1000
    rows  -- number of lines and functions on the page, 1 to 1000

    GET shows the last profile, POST starts a new one, for the ``seconds`` of the form. Clients other than browsers get
    text: ``curl -d seconds=5 URL``, then ``curl URL``. Threads that wait in Python code, for a queue or lock, are
    counted as well. The page also works inline (``--threads 0``). ValueError: wrong argument.
    """

    def __init__(
        self, allow: Optional[Iterable[str]] = ("127.0.0.1", "::1", ""), hertz: int = 100, rows: int = 40
    ) -> None:
        for name, value in (("hertz", hertz), ("rows", rows)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000:
                raise ValueError(f"Profile: {name} must be 1 to 1000, not {value!r}")
        if isinstance(allow, str):
            raise ValueError(f"Profile: allow must be a list of addresses, not {allow!r}")
        self.allow = None if allow is None else frozenset(allow)
        self.hertz, self.rows = hertz, rows
        self._look: Optional[_Look] = None
        self._lock = Lock()

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> List[bytes]:
        if self.allow is not None and environ.get("REMOTE_ADDR", "") not in self.allow:
            return _say(start_response, "403 Forbidden", "this address may not see the profile\n")
        if environ["REQUEST_METHOD"] == "POST":
            return self._begin(environ, start_response)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD, POST"), ("Content-Type", "text/plain")])
            return [b"Method Not Allowed\n"]
        look = self._look
        if "text/html" in environ.get("HTTP_ACCEPT", ""):
            return self._page(look, start_response)
        return _say(start_response, "200 OK", self._text(look))

    def _begin(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> List[bytes]:
        from urllib.parse import parse_qs

        form = parse_qs(environ["wsgi.input"].read(1024).decode("latin-1"))
        try:
            seconds = float(form.get("seconds", ["5"])[0])
        except ValueError:
            seconds = -1
        if not 0 < seconds <= _LONGEST:
            return _say(start_response, "400 Bad Request", f"seconds must be more than 0 and at most {_LONGEST}\n")
        with self._lock:
            if self._look is not None and not self._look.done:
                return _say(start_response, "409 Conflict", "a profile is already running\n")
            look = self._look = _Look(seconds, self.hertz)
        Thread(target=look.run, name="fapws profile", daemon=True).start()
        if "text/html" in environ.get("HTTP_ACCEPT", ""):
            start_response(
                "303 See Other", [("Location", environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "") or "/")]
            )
            return []
        return _say(start_response, "202 Accepted", f"profiling for {seconds:g} s\n")

    def _tables(self, look: _Look) -> List[Tuple[str, List[Tuple[int, str]]]]:
        own = sorted(look.own.items(), key=lambda entry: -entry[1])[: self.rows]
        functions = sorted(look.all.items(), key=lambda entry: -entry[1])[: self.rows]
        return [
            ("Lines that ran", [(n, f"{_short(file)}:{line} in {name}") for (file, name, line), n in own]),
            ("Functions, with what they called", [(n, f"{name} in {_short(file)}") for (file, name), n in functions]),
        ]

    def _text(self, look: Optional[_Look]) -> str:
        if look is None:
            return "nothing yet; POST seconds=5 to look for 5 seconds\n"
        if not look.done:
            return "still looking\n"
        out = [f"{look.samples} looks in {look.seconds:g} s, {look.busy} stacks\n"]
        for title, rows in self._tables(look):
            out.append(f"\n{title}\n")
            out += (f"{n:8} {_percent(n, look.busy):>6} {what}\n" for n, what in rows)
        return "".join(out)

    def _page(self, look: Optional[_Look], start_response: Callable[..., Any]) -> List[bytes]:
        fields = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")]
        body = ['<form method="post"><label>Look for <input name="seconds" type="number" value="5" min="1" '
                f'max="{_LONGEST}"> seconds</label> <button>Look</button></form>']
        if look is not None and not look.done:
            fields.append(("Refresh", "1"))
            body = ["<p>Looking…</p>"]
        elif look is not None:
            body.append(f"<p>{look.samples} looks in {look.seconds:g} s, {look.busy} stacks</p>")
            for title, rows in self._tables(look):
                body.append(f"<h2>{title}</h2><table><tr><th>stacks<th><th>where</tr>")
                body += (
                    f"<tr><td>{n}<td>{_percent(n, look.busy)}<td><code>{escape(what)}</code></tr>" for n, what in rows
                )
                body.append("</table>")
        start_response("200 OK", fields)
        page = document("Profile", _HEAD, f"<main><h1>Where the time goes</h1>{''.join(body)}</main>")
        return [page.encode("utf-8", "backslashreplace")]


def _percent(n: int, of: int) -> str:
    return f"{100 * n / of:.1f}%" if of else "0%"


def _short(file: str) -> str:
    """Returns a path relative to the folder in sys.path that contains it."""
    for folder in sorted((entry for entry in sys.path if entry), key=len, reverse=True):
        if file.startswith(os.path.join(folder, "")):
            return file[len(folder) :].lstrip(os.sep)
    return file


def _say(start_response: Callable[..., Any], status: str, text: str) -> List[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])
    return [text.encode("utf-8", "backslashreplace")]
