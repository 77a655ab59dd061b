"""One handler for each kind of result. The tests of pybridge call them without sockets."""
import ctypes
import gc
import io
import json
import os
import sys
import tempfile
import threading
import time

from _fapws import static_answer
from fapws import Timeout

closed = []


class Closing:
    def __init__(self, items, name, fail_at=None):
        self.items, self.name, self.fail_at = iter(items), name, fail_at

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        if item is self.fail_at:
            raise ValueError("broke")
        return item

    def close(self):
        closed.append(self.name)


def text(environ, start_response):
    return "h\u00e9llo"


def binary(environ, start_response):
    start_response("201 Made Up", [("X-A", "1"), ("Content-Type", "text/x")])
    return b"\x00\xff"


def lists(environ, start_response):
    return [b"a", "b", b"", b"c"]


def view(environ, start_response):
    return memoryview(b"viewed")


def large(environ, start_response):
    return [b"head", b"x" * 300000, b"tail"]


def as_json(environ, start_response):
    return {"a": [1, "\u00e9"]}


def generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for i in range(100):
        yield b"%d," % i


def late(environ, start_response):
    yield b""
    start_response("202 Late", [])
    yield "text"


def empty_generator(environ, start_response):
    start_response("200 OK", [])
    return iter(())


def none(environ, start_response):
    return None


def number(environ, start_response):
    return 7


def bad_chunk(environ, start_response):
    yield b"ok"
    yield 7


def raises(environ, start_response):
    secret = "local value"  # noqa: F841
    raise RuntimeError("boom")


def exits(environ, start_response):
    sys.exit(3)


def interrupted(environ, start_response):
    raise KeyboardInterrupt


def recursion(environ, start_response):
    return recursion(environ, start_response)


def memory(environ, start_response):
    raise MemoryError


def raises_later(environ, start_response):
    yield b"first"
    raise RuntimeError("boom")


def close_runs(environ, start_response):
    return Closing([b"a", b"b"], "close_runs")


def close_after_error(environ, start_response):
    return Closing([b"a", None], "close_after_error", None)


def closed_names(environ, start_response):
    names, closed[:] = ",".join(closed), []
    return names


def real_file(environ, start_response):
    f = open(__file__, "rb")
    f.seek(3)
    return f


def text_file(environ, start_response):
    return open(__file__)


def temporary_file(environ, start_response):
    f = tempfile.NamedTemporaryFile(suffix=".txt")
    f.write(b"0123456789")
    f.flush()
    f.seek(4)
    return f


def wrapped_file(environ, start_response):
    start_response("200 OK", [("Content-Type", "x/y")])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"), 1024)


def memory_file(environ, start_response):
    return io.BytesIO(b"z" * 200000)


def gzip_file(environ, start_response):
    import gzip

    return gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(b"inside")))


def dumped(environ, start_response):
    keep = {k: v for k, v in environ.items() if isinstance(v, (str, bool))}
    keep["type"] = type(environ).__name__
    return keep


def reads(environ, start_response):
    body = environ["wsgi.input"]
    how = environ["QUERY_STRING"]
    if how == "all":
        return body.read() + body.read()
    if how == "line":
        return b"|".join(
            [body.readline(), body.readline(3), body.readline(0), body.read(2), body.read(-1), body.readline()]
        )
    if how == "lines":
        return b"|".join(body.readlines())
    if how == "iterate":
        return b"|".join(body)
    if how == "value":
        body.read(4)
        return body.getvalue() + body.read(None)
    return "?"


def static_with_length(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    return static_answer("{}", environ)


def short_length(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    return b"123"


def long_length(environ, start_response):
    start_response("200 OK", [("content-length", "3")])
    return [b"12", b"3456"]


def short_stream(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    yield b"123"


def long_stream(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    yield b"12"
    yield b"3456"
    yield b"never"


def no_content(environ, start_response):
    start_response("204 No Content", [])
    return b"ignored"


def writes(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    write("text ")
    write(b"x" * int(environ["PATH_INFO"][1:] or 0))
    return [b"returned"]


def header(environ, start_response):
    name, _, value = environ["QUERY_STRING"].partition("=")
    start_response("200 OK", [(name, value.encode().decode("unicode_escape"))])
    return b""


def methods(environ, start_response):
    start_response.add_header("X-First", 1)
    start_response("200 OK", [("X-Second", "2")])
    start_response.set_cookie("k", "v", max_age=5, httponly=True, samesite="Lax")
    start_response.delete_cookie("old")
    start_response.response_headers.append(("X-Third", "3"))
    start_response.status_code = 203
    return repr((start_response.status_code, start_response.response_headers))


def twice(environ, start_response):
    start_response("200 OK", [])
    start_response("200 OK", [])


def two_lengths(environ, start_response):
    start_response("200 OK", [("Content-Length", "1"), ("content-length", "2")])
    return b"x"


def exc_info(environ, start_response):
    start_response("200 OK", [("X-Old", "1")])
    try:
        raise ValueError
    except ValueError:
        start_response("500 Oops", [("X-New", "1")], sys.exc_info())
    return b"replaced"


def thread_of(environ, start_response):
    first = threading.get_ident()
    yield b"x" * 100
    for _ in range(20 if environ["QUERY_STRING"] else 200):
        if threading.get_ident() != first:
            yield b"moved"
        yield b"y" * 20000


def slow(environ, start_response):
    time.sleep(0.2)
    return "slow"


def forks(environ, start_response):
    pid = os.fork()
    if pid == 0:
        if environ["QUERY_STRING"] == "exit":
            os._exit(7)
        return "the child came back"  # unreachable, because the child must not serve
    _, status = os.waitpid(pid, 0)
    return str(os.WEXITSTATUS(status))


def stats(environ, start_response):
    # Python's cache of attributes keeps up to 4096 names, which would otherwise count as blocks that stay.
    getattr(sys, "_clear_internal_caches", getattr(sys, "_clear_type_cache", None))()
    gc.collect()
    total = getattr(sys, "gettotalrefcount", lambda: 0)()
    return json.dumps([sys.getallocatedblocks(), total, threading.active_count()])


def is_main(environ, start_response):
    return str(threading.current_thread() is threading.main_thread())


def blocked(environ, start_response):
    """Waits in C for a byte from a descriptor."""
    os.read(int(environ["QUERY_STRING"]), 1)
    return "released"


def stubborn(environ, start_response):
    """Hangs like blocked, and continues after an exception."""
    while True:
        try:
            return blocked(environ, start_response)
        except Timeout:
            pass


held = threading.Lock()
held.acquire()


def waits_lock(environ, start_response):
    held.acquire()


def waits_read(environ, start_response):
    os.read(os.pipe()[0], 1)


def waits_sleep(environ, start_response):
    time.sleep(1000)


def keeps_gil(environ, start_response):
    """Waits in C for a byte from a descriptor, while no other thread can run."""
    fd = int(environ["QUERY_STRING"])
    ctypes.PyDLL(None).read(fd, ctypes.create_string_buffer(1), 1)
    return "released"


meeting = []


def meets(environ, start_response):
    """Computes for a number of seconds, or until another request computes at the same time."""
    meeting.append(1)
    end = time.monotonic() + float(environ["QUERY_STRING"])
    while len(meeting) % 2 and time.monotonic() < end:
        pass
    return "alone" if len(meeting) % 2 else "met"


wrong = []


def use(body, start_response):
    for _ in range(50):
        try:
            body.readline()
            body.read(10)
            start_response.add_header("X-A", "b")
            start_response.response_headers.append(("X-B", "c"))
            start_response.write(b"other ")
        except RuntimeError:  # write() fails after the handler has returned
            pass
        except Exception as e:
            wrong.append(repr(e))


def shares(environ, start_response):
    """Lets another thread use wsgi.input and start_response, even after the request has ended."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    body = environ["wsgi.input"]
    threading.Thread(target=use, args=(body, start_response)).start()
    while body.readline():
        yield "one "


def shares_and_returns(environ, start_response):
    """Lets another thread use wsgi.input and start_response while the server sends the response."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    threading.Thread(target=use, args=(environ["wsgi.input"], start_response)).start()
    return ["one ", bytearray(b"two "), "three "]


writers = []
may_return = threading.Event()


def writes_elsewhere(environ, start_response):
    """Another thread writes more than the client reads."""
    start_response("200 OK", [])
    writers.append(threading.Thread(target=start_response.write, args=(b"x" * 300000,)))
    writers[-1].start()
    may_return.wait()
    return []


def lets_return(environ, start_response):
    may_return.set()
    return "returns"


def joins_writer(environ, start_response):
    other = writers.pop()
    other.join(60)
    return "waits" if other.is_alive() else "ended"


def shared_wrong(environ, start_response):
    return repr(wrong)


def spins(environ, start_response):
    while True:
        pass


def spins_and_catches(environ, start_response):
    try:
        while True:
            pass
    except Timeout:
        return "caught"


def spins_later(environ, start_response):
    yield b"first"
    while True:
        pass


gone = []


def watches(environ, start_response):
    disconnected = environ["fapws.disconnected"]
    try:
        while True:
            yield str(disconnected()) + " " * 20000
    finally:
        gone.append(disconnected())


def was_gone(environ, start_response):
    text, gone[:] = repr(gone), []
    return text


def disconnected_elsewhere(environ, start_response):
    said = []
    other = threading.Thread(target=lambda: said.append(str(environ["fapws.disconnected"]())))
    other.start()
    other.join()
    return said


HELLO = [("Content-Type", "text/plain"), ("Content-Length", "13")]


def hello(environ, start_response):
    start_response("200 OK", HELLO)
    return [b"Hello world!!"]


def five_fields(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("X-A", "1"),
                              ("X-B", "2"), ("Content-Length", "27")])
    return [b'{"message":"Hello, World!"}']


def echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [body]


def listens(environ, start_response):
    from fapws import channel

    start_response("404 Not Found", [("Content-Length", "3"), ("Content-Type", "text/plain"), ("X-A", "b")])
    return channel("one", "two", start="data: hello", headers={"X-B": "c"})


def listens_by_field(environ, start_response):
    start_response(
        "200 OK",
        [("FAPWS-channel", "one"), ("X-A", "b"), ("Content-Type", "text/plain"), ("Fapws-Channel", "two,three")],
    )
    yield "data: hello\n\n"


def listens_not(environ, start_response):
    start_response("404 Not Found", [("Fapws-Channel", "one"), ("Content-Type", "text/plain")])
    return ["nothing"]


def publishes(environ, start_response):
    from fapws import publish
    from fapws.cache import purge

    publish("one", "text", "kind", "id")
    purge("/page")
    publish("two", {"a": "é"})
    for wrong in ("bad name", "\ud800"):
        try:
            publish("a" if len(wrong) == 1 else wrong, wrong)
        except ValueError:
            pass
    return "published"


told = []


def tells(environ, start_response):
    from fapws import subscribers, on_join, on_leave

    if not told:
        told.append("nothing")
        on_join("room/*")(
            lambda name, client: told.append(f"+{name} {client.number} {client.user} {client.last_event_id}")
        )
        on_leave()(lambda name, client: told.append(f"-{name} {client.number} {client.user} {client.last_event_id}"))
    said, told[1:] = ",".join(told[1:]), []
    return f"{said} {subscribers('one')}"


PATHS = [
    ("/" + f.__name__, f)
    for f in (
        text, binary, lists, view, large, as_json, generator, late, empty_generator, none, number, bad_chunk, raises,
        exits, interrupted, recursion, memory, raises_later, close_runs, close_after_error, closed_names, real_file,
        text_file, temporary_file, wrapped_file, memory_file, gzip_file, dumped, reads, static_with_length,
        short_length, long_length, short_stream, long_stream, no_content, writes, header, methods, twice, two_lengths,
        exc_info, thread_of, slow, forks, stats, is_main, listens, listens_by_field, listens_not, publishes, tells,
        hello, five_fields, echo, blocked, stubborn, waits_lock, waits_read, waits_sleep, keeps_gil, meets, shares,
        shares_and_returns, shared_wrong, writes_elsewhere, lets_return, joins_writer, spins, spins_and_catches,
        spins_later, watches, was_gone, disconnected_elsewhere,
    )
]
