"""Live pages: handlers publish events, which reach all subscribed browsers immediately.

A browser subscribes with ``new EventSource("/news")``. The server keeps its
connection; Python runs once, and never again while the client waits::

    from fapws import channel, publish

    def news(environ, start_response):
        return channel("news")

    def post(environ, start_response):
        publish("news", {"title": environ["wsgi.input"].read().decode()})
        start_response("204 No Content", [])
        return []

    PATHS = [("/news", news), ("/post", post)]

In any framework, a response header has the effect of ``channel``::

    @app.get("/news")
    def news():
        return "", {"Fapws-Channel": "news"}

A name has 1 to 128 characters of ``A-Z a-z 0-9 . _ ~ : / @ -``, the first one a
letter or digit. A channel needs no declaration: it exists as soon as a client
subscribes or a handler publishes. Events are those of the HTML standard ("Server-sent events",
https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""
from __future__ import annotations

import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, List, Mapping, Optional, Pattern, Set, Tuple, TypeVar, Union

    Callback = Callable[[str, "Client"], object]
    F = TypeVar("F", bound=Callable[..., object])

__all__ = ["Client", "channel", "subscribers", "on_join", "on_leave", "publish"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:/@-]{0,127}")
_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._~:/@*-]{0,127}")
_MOST_NAMES = 16
_LONGEST = 128
_PATIENCE = 1.0  # maximum time in seconds that publish waits while the server is overloaded
_MOST_TASKS = 1000  # maximum number of async callbacks that run at once


def channel(
    *names: str,
    start: Union[str, bytes] = b"",
    headers: Union[Mapping[str, str], Iterable[Tuple[str, str]], None] = None,
) -> Any:
    """Makes the client a subscriber of one or more channels; return it from a handler, or put it into PATHS.

    names   -- 1 to 16 channel names
    start   -- events for this client only, sent first, in their wire format: ``"data: welcome\\n\\n"``
    headers -- additional fields of the response: a dict, or (name, value) tuples

    ::

        PATHS = [("/news", channel("news"))]

        def room(environ, start_response):
            name = environ["PATH_INFO"].strip("/")
            return channel("room/" + name, "all", start="data: welcome\\n\\n")

    The handler does not need to call start_response; the status is always 200. A browser that reconnects sends
    Last-Event-ID, and gets the events that it has missed, if the server still has them. In PATHS, methods other than
    GET and HEAD get 405.

    A WSGI middleware that inspects responses does not recognize this result. With such a middleware, set the field
    Fapws-Channel instead. TypeError, ValueError: wrong argument. RuntimeError: this process does not run under fapws.
    Any thread may call it.
    """
    if not 1 <= len(names) <= _MOST_NAMES:
        raise TypeError(f"channel: takes 1 to {_MOST_NAMES} names, not {len(names)}")
    for name in names:
        _check("channel", name)
    if isinstance(start, str):
        start = start.encode()
    if not isinstance(start, (bytes, bytearray, memoryview)):
        raise TypeError(f"channel: start must be bytes or str, not {start!r}")
    start = bytes(start)
    if start and not start.endswith((b"\n\n", b"\r\r", b"\r\n\r\n")):
        # The empty line ends the event. Without it, later lines would belong to the same event.
        start += b"\n\n"
    return _native("channel").channel_answer(", ".join(dict.fromkeys(names)), start, _fields(headers))


def _refuse(environ: Mapping[str, Any], start_response: Any) -> Any:
    """Responds with status 405 for a channel in PATHS if the method is neither GET nor HEAD. The executable calls this
    method."""
    from fapws._errors import HTTPError

    return HTTPError(405, headers=[("Allow", "GET, HEAD")])(environ, start_response)


def publish(name: str, data: Any, event: Optional[str] = None, id: Union[str, int, None] = None) -> None:
    """Sends an event to all subscribers of a channel, in all processes of this server.

    data  -- str, UTF-8 bytes, or any object, which is sent as JSON
    event -- type of the event: browsers then call the listeners of ``addEventListener(event, …)`` instead of
             ``onmessage``
    id    -- identifier of the event, for browsers that reconnect; None: the server numbers the events, as
             most channels need for replay

    ::

        publish("news", "<b>rain</b> tomorrow")
        publish("chat", {"who": "ada", "says": "hello"}, event="message")

    The call returns before the event is delivered. All subscribers get the events of a channel in one order. Any thread
    and any asyncio task may call publish; events that a script publishes while it is imported wait until the server
    runs.

    TypeError, ValueError: wrong argument, or an event longer than --channel-max-event. RuntimeError: events of 8 MiB
    wait, and the server has not caught up within a second (at once, if waiting would block the server itself); or this
    process does not run under fapws, or is a child of the server.
    """
    _check("publish", name)
    if not isinstance(data, str):
        data = _text(data)
    message = (name, "" if id is None else _id(id), "" if event is None else _type(event), data)
    push = _publish or _native("publish").channel_publish
    try:
        taken = push(*message)
    except UnicodeEncodeError as error:
        raise ValueError(f"publish: {error.object[error.start]!r} cannot be sent as UTF-8") from None
    if not taken:
        _wait("publish", taken, push, message)


def subscribers(name: str) -> int:
    """Returns the number of subscribers of a channel in all processes of this server, and with a broker of all servers.

    Numbers of other processes are up to a second old, those of other servers two. Any thread may call it; the call does not wait. TypeError,
    ValueError: not a name of a channel. RuntimeError: this process does not run under fapws, or is a child of the
    server.
    """
    _check("subscribers", name)
    count: int = _native("subscribers").channel_subscribers(name)
    return count


class Client:
    """A subscriber, as passed to on_join and on_leave callbacks.

    number        -- identifies the client in all of its channels, when it joins
                     and when it leaves; unique in this server
    address       -- its IP address, "" on a unix socket
    user          -- the logged-in user (REMOTE_USER), or None
    last_event_id -- the last event that it has received, if it reconnects, or None
    """

    __slots__ = ("number", "address", "user", "last_event_id")

    def __init__(self, number: int, address: str, user: Optional[str], last_event_id: Optional[str]) -> None:
        self.number = number
        self.address = address
        self.user = user
        self.last_event_id = last_event_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Client) and other.number == self.number

    def __hash__(self) -> int:
        return hash(self.number)

    def __repr__(self) -> str:
        return f"<Client {self.number} {self.address}>"


def on_join(pattern: str = "*") -> Callable[[F], F]:
    """Decorates a function that is called as ``f(name, client)`` when a client subscribes to a channel.

    pattern -- name of a channel; ``*`` stands for any characters

    ::

        @on_join("room/*")
        def welcome(name, client):
            publish(name, f"{client.user or 'a guest'} is here, we are {subscribers(name)}")

    The function runs in the process that has the client, on one of the threads for handlers, one call at a time.
    ``async def`` runs on the asyncio thread, if an application or handler is async; calls begin in order. Exceptions
    are reported like those of handlers. Up to 20,000 calls wait; further ones are dropped, with one line in the log. A
    client that a reload hands over to another process neither leaves nor joins. TypeError, ValueError: not a pattern,
    or f cannot be called.
    """
    return _register("on_join", pattern, _joining)


def on_leave(pattern: str = "*") -> Callable[[F], F]:
    """Decorates a function that is called as ``f(name, client)`` when a client leaves a channel; see :func:`on_join`.

    A client that vanishes without closing its connection is noticed within four times --channel-heartbeat. If a worker
    is killed, its clients leave without a call. They reconnect, and join with new numbers.
    """
    return _register("on_leave", pattern, _leaving)



def _check(function: str, name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{function}: the name of a channel must be a str, not {name!r}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{function}: {name!r} is not a valid channel name: use 1 to 128 of A-Z a-z 0-9 . _ ~ : / @ -, beginning"
            " with a letter or digit"
        )


def _type(event: Any) -> str:
    if not isinstance(event, str):
        raise TypeError(f"publish: event must be a str, not {event!r}")
    if not event or event != event.strip() or any(c < " " or c == "\x7f" for c in event) or len(event) > _LONGEST:
        raise ValueError(
            f"publish: event must be 1 to {_LONGEST} characters, without control characters and surrounding spaces, not"
            f" {event!r}"
        )
    return event


def _text(data: Any) -> str:
    if isinstance(data, (bytes, bytearray, memoryview)):
        try:
            return bytes(data).decode()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"publish: bytes must be UTF-8, but {bytes(data)[error.start:error.start + 1]!r} at {error.start}"
                " is not"
            ) from None
    from json import dumps

    try:
        return dumps(data, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"publish: data is neither str nor bytes, and no JSON either: {error}") from None


def _id(id: Any) -> str:
    if isinstance(id, int) and not isinstance(id, bool):
        return str(id)
    if not isinstance(id, str):
        raise TypeError(f"publish: id must be a str or an int, not {id!r}")
    if not id or id != id.strip() or any(c < " " or c == "\x7f" for c in id) or len(id) > _LONGEST:
        raise ValueError(
            f"publish: id must be 1 to {_LONGEST} characters, without control characters and surrounding spaces, not"
            f" {id!r}"
        )
    return id


def _fields(headers: Any) -> Tuple[Tuple[str, str], ...]:
    if headers is None:
        return ()
    pairs = headers.items() if hasattr(headers, "items") else headers
    try:
        fields = tuple((name, value) for name, value in pairs)
    except (TypeError, ValueError):
        raise TypeError(f"channel: headers must be a dict, or (name, value) tuples, not {headers!r}") from None
    for name, value in fields:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"channel: the name and value of a header must be str, not {name!r}: {value!r}")
    return fields


_publish: Any = None


def _native(function: str) -> Any:
    """Returns module fapws._native, and stores its function channel_publish in _publish. RuntimeError: this process
    does not run under fapws; the message begins with the name ``function``."""
    global _publish
    try:
        from fapws import _native as native
    except ImportError:
        raise RuntimeError(
            f"{function}: this process does not run under fapws: run the script with the command fapws script.py, or in a test "
            "with fapws.testing.serve"
        ) from None
    _publish = native.channel_publish
    return native


def _wait(function: str, taken: Optional[bool], push: Any, message: Tuple[Any, ...]) -> None:
    """Calls the function push again until it succeeds, for up to a second, while the server is overloaded. Does not
    wait if the server needs this thread. RuntimeError: the function has not succeeded."""
    if taken is not None and not _in_asyncio():
        from time import monotonic, sleep

        end = monotonic() + _PATIENCE
        while monotonic() < end:
            sleep(0.002)
            if push(*message):
                return
    raise RuntimeError(f"{function}: queue full: 8 MiB of events are waiting")


def _in_asyncio() -> bool:
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


_joining: List[Tuple[Pattern[str], Callback]] = []
_leaving: List[Tuple[Pattern[str], Callback]] = []


def _register(decorator: str, pattern: Any, table: List[Tuple[Pattern[str], Callback]]) -> Any:
    if not isinstance(pattern, str):
        raise TypeError(f'{decorator}: write @{decorator}("name") or @{decorator}("*"), not {pattern!r}')
    if not _PATTERN.fullmatch(pattern):
        raise ValueError(
            f"{decorator}: {pattern!r} is not a valid pattern: use a channel name, in which * matches any characters"
        )
    compiled = re.compile(re.escape(pattern).replace(r"\*", ".*"), re.DOTALL)

    def register(f: F) -> F:
        if not callable(f):
            raise TypeError(f"{decorator}: {f!r} cannot be called")
        try:
            _native(decorator).channel_watch()
        except RuntimeError:
            pass
        table.append((compiled, f))
        return f

    return register


def _noticed(text: bytes) -> None:
    """Calls the callbacks for a JSON list from the server. Each item is a client that has subscribed or unsubscribed.
    The callbacks are called in the order of the list."""
    from json import loads

    for one in loads(text):
        client = Client(one["number"], one["address"], one["user"] or None, one["last"] or None)
        name = one["name"]
        for pattern, function in tuple(_leaving if one["left"] else _joining):
            if pattern.fullmatch(name):
                _call("on_leave" if one["left"] else "on_join", function, name, client)


def _call(what: str, function: Callback, name: str, client: Client) -> None:
    where = f"{what} {getattr(function, '__qualname__', type(function).__qualname__)}, channel {name}"
    try:
        result = function(name, client)
        if hasattr(result, "__await__"):
            _spawn(result, where)
    except BaseException:  # including SystemExit, which would end only this thread and not the server
        _report(where)


_tasks: Set[Any] = set()


def _spawn(awaitable: Any, where: str) -> None:
    """Runs the awaitable of an ``async def`` callback on the asyncio thread."""
    module: Any = sys.modules.get("fapws._async")
    stopped = getattr(getattr(module, "_thread", None), "stopped", None)
    if stopped is None or stopped.done():
        getattr(awaitable, "close", list)()
        raise RuntimeError(
            "it is async (async def), but no async application or handler is loaded, so no event loop runs; use def"
        )
    if len(_tasks) >= _MOST_TASKS:
        getattr(awaitable, "close", list)()
        raise RuntimeError(f"{_MOST_TASKS} calls of it are still running")
    from asyncio import CancelledError, run_coroutine_threadsafe

    async def run() -> None:
        try:
            await awaitable
        except CancelledError:
            raise
        except BaseException:
            _report(where)

    task = run_coroutine_threadsafe(run(), stopped.get_loop())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _report(where: str) -> None:
    """Writes the current exception (sys.exc_info) to the error log."""
    try:
        from fapws._failure import log

        log("error", f"error in {where}", error=sys.exc_info()[1])
    except Exception:
        pass  # stderr cannot be written
