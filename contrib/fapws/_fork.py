"""The processes of ``--fork``: the loader, which has loaded the application, and a child for each request.

For each request, the server sends an order to the loader, with a socket and two pipes. The child reads the request from
the socket as SCGI, and writes the response to the socket like a CGI program; one pipe is its standard error. The loader
writes the child's process id and exit status to the other pipe. The child runs only Python, without Go, and therefore
does not need the loader's threads, which a fork does not copy.

The child reads the last byte of the request after it has sent the response. If the child dies earlier, the kernel
reports unread data to the server (ECONNRESET) instead of an end, so the server notices that the response is incomplete.
"""
from __future__ import annotations

import faulthandler
import gc
import io
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
import warnings

from _fapws import ChannelAnswer, ClientDisconnected, Start_response  # type: ignore[import-not-found]
from fapws._failure import log
from fapws._file import FileWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterator, List, NoReturn, Optional, Tuple

    #: callable, name, class of environ, class of start_response
    Mount = Tuple[Callable[..., Any], str, Optional[type], Optional[type]]

__all__ = ["serve"]

# The format of a number in orders and reports.
# The first report about a child is its process id, or -errno if the fork has failed.
# The second report about a child is its wait status (waitpid(2)).
# An order without descriptors contains the id of a process to kill.
# A negative number -ms is the last order: the loader must end within ms milliseconds.
_NUMBER = struct.Struct("=i")
_FILE = (lambda: None).__code__.co_filename  # of this module

# interval between checks of children in milliseconds, if the kernel does not support pidfd_open
_LOOK = 20
_END = 2.0
_MEMORY = 1 << 20  # maximum size of a request body that is read into memory before the handler runs, in bytes
_BLOCK = 1 << 16
_NAMED = 5  # maximum number of threads that a line names
_REPORTED = 70  # exit status of a child that has reported its failure


def serve(
    descriptor: int, mounts: List[Mount], timeout: float, debug: int, sends: bool, objects: bool
) -> None:
    """Forks a child for each order from descriptor, until the other end of descriptor is closed.

    timeout -- maximum seconds without output of a handler; 0 means no limit
    sends   -- X-Sendfile or X-Accel-Redirect is enabled, which a child cannot support
    objects -- log messages are JSON objects (--error-log-format json)
    """
    _Child.objects = objects
    if getattr(sys.modules.get("fapws.metrics"), "_declared", None):
        log("warning", "fapws.metrics does not count what handlers do in the processes of --fork")
    names = _threads()
    if names:
        more = " and others" if names[_NAMED:] else ""
        log("warning", "threads of the application run in the process that has loaded it, and not in the processes of "
            f"--fork: {', '.join(names[:_NAMED])}{more}; start them in the handler, or serve without --fork")
    control = socket.socket(fileno=descriptor)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    children: Dict[int, Tuple[int, int]] = {}  # process id → pipe for reports, pidfd (-1 if none)
    gc.collect()
    # Prevent the garbage collector from writing to memory pages that children share.
    gc.freeze()
    left: Optional[float] = None
    try:
        while left is None:
            left = _obey(control, poller, children, mounts, timeout, debug, sends)
    except ConnectionError:
        pass  # the server has died
    # The time limit also applies to atexit functions and to threads that Python waits for.
    if left:
        faulthandler.dump_traceback_later(left, exit=True, file=2)
    _end(children, left or 0)


def _obey(
    control: socket.socket, poller: select.poll, children: Dict[int, Tuple[int, int]], mounts: List[Mount],
    timeout: float, debug: int, sends: bool,
) -> Optional[float]:
    """Waits for an order or the end of a child. Returns None for any order except the last. For the last order, returns
    the number of seconds until this process must end, or 0 if the server has died."""
    ready = poller.poll(_LOOK if any(pidfd < 0 for _, pidfd in children.values()) else None)
    _reap(children, poller)
    if all(fd != control.fileno() for fd, _ in ready):
        return None
    text, extra, _, _ = control.recvmsg(_NUMBER.size, socket.CMSG_SPACE(12), socket.MSG_CMSG_CLOEXEC)
    if not text:
        return 0
    if not extra:
        pid = _NUMBER.unpack(text)[0]
        if pid < 0:
            return -pid / 1000
        if pid in children:
            os.kill(pid, signal.SIGKILL)
        return None
    files = struct.unpack("%di" % (len(extra[0][2]) // 4), extra[0][2])
    if len(files) == 1:  # The server has rotated the error log.
        os.dup2(files[0], 2)
        os.close(files[0])
        return None
    connection, errors, reports = files
    try:
        pid = _fork()
    except OSError as error:
        pid = -(error.errno or 1)
    if pid == 0:
        for fd in [control.fileno(), reports, *(fd for both in children.values() for fd in both)]:
            if fd >= 0:
                os.close(fd)
        _run(connection, errors, mounts, timeout, debug, sends)
    os.close(connection)
    os.close(errors)
    _report(reports, pid)
    if pid > 0:
        children[pid] = reports, _watch(pid, poller)
    else:
        os.close(reports)
    return None


def _threads() -> List[str]:
    """Returns the names of the threads that the application has started."""
    threading = sys.modules.get("threading")
    if threading is None:
        return []
    main = threading.main_thread()
    return [one.name for one in threading.enumerate() if one is not main and not one.name.startswith("fapws-")]


def _report(pipe: int, number: int) -> None:
    try:
        os.write(pipe, _NUMBER.pack(number))
    except OSError:
        pass  # the server has died


def _fork() -> int:
    with warnings.catch_warnings():  # Python 3.12 warns about forking a process with threads
        warnings.simplefilter("ignore")
        return os.fork()


def _watch(pid: int, poller: select.poll) -> int:
    try:
        pidfd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1
    poller.register(pidfd, select.POLLIN)
    return pidfd


def _reap(children: Dict[int, Tuple[int, int]], poller: Optional[select.poll] = None) -> None:
    """For each child of the loader that has ended, reports its status to the server and removes it from children. Does
    not reap processes that the application itself has started."""
    for pid, (reports, pidfd) in list(children.items()):
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # The application has already reaped all children of this process.
            ended, status = pid, 0
        if not ended:
            continue
        del children[pid]
        if pidfd >= 0:
            if poller:
                poller.unregister(pidfd)
            os.close(pidfd)
        _report(reports, status)
        os.close(reports)


def _end(children: Dict[int, Tuple[int, int]], left: float) -> None:
    """Waits for children that still run, for example because they send queued data after their response. Ends these
    children when the time is over."""
    until = time.monotonic() + max(left - 2 * _END, 0)
    for sig in signal.SIGTERM, signal.SIGKILL:
        while children and time.monotonic() < until:
            _reap(children)
            time.sleep(0.005)
        for pid in children:
            os.kill(pid, sig)
        until = time.monotonic() + _END
    while children:
        _reap(children)
        time.sleep(0.005 if children else 0)


class _Gone(SystemExit):
    """The client has disconnected while the handler was reading the request body, or between two parts of the
    response."""


class _Broken(SystemExit):
    """Raised to abort a response that cannot be completed, after the reason was logged."""


def _run(connection: int, errors: int, mounts: List[Mount], timeout: float, debug: int, sends: bool) -> NoReturn:
    """Handles one request, and ends the process."""
    status = _REPORTED
    try:
        os.dup2(errors, 2)
        os.close(errors)
        child = _Child(socket.socket(fileno=connection), timeout)
        if child.answer(mounts, debug, sends):
            status = 0
        if child.parent():
            _finish()
    except SystemExit as error:  # This process may be a child that the handler itself has forked.
        status = error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _finish() -> None:
    """Waits for deferred calls, waits for threads as Python does on exit, and runs atexit functions."""
    later, threading = sys.modules.get("fapws._later"), sys.modules.get("threading")
    if later:
        later._finish()
    if threading:
        threading._shutdown()  # type: ignore[attr-defined]
    from fapws._exits import run

    run()


class _Body(io.RawIOBase):
    """Reads the body of a request from the socket to the server."""

    def __init__(self, connection: socket.socket, left: int) -> None:
        self._connection = connection
        self.left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.left:
            return 0
        n = self._connection.recv_into(buffer, min(len(buffer), self.left))
        if not n:
            raise _Gone
        self.left -= n
        return n


class _Child:
    """The request that this process handles, and the state of the response."""

    objects = False

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        self.connection = connection
        self.pid = os.getpid()
        self.timeout = timeout
        self.sends = False
        self.started = False
        self.whole = False
        self.single = False
        self.declared = -1
        self.unsized: Optional[int] = None  # size that the sent file reports, if this size is wrong
        self.sent = 0
        self.body = _Body(connection, 0)
        connection.setblocking(True)
        os.register_at_fork(after_in_child=connection.close)
        if timeout:  # without a timeout, the application may use SIGALRM
            # When the timer expires, faulthandler writes all stacks, and then the signal ends the process.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            faulthandler.register(signal.SIGALRM, 2, all_threads=True, chain=True)
        self.alarm(timeout)

    def parent(self) -> bool:
        """Whether this process was forked by the loader, and not by the handler."""
        return os.getpid() == self.pid

    def alarm(self, seconds: float) -> None:
        if self.timeout:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def disconnected(self) -> bool:
        """Whether the client has disconnected or shut down its sending side: the server then closes the socket."""
        return self._sees(select.POLLRDHUP)

    def _sees(self, event: int) -> bool:
        hangup = select.poll()
        hangup.register(self.connection, event)
        return bool(hangup.poll(0))

    def _read(self, n: int) -> bytes:
        data = bytearray(n)
        at = memoryview(data)
        while at:
            got = self.connection.recv_into(at, 0, socket.MSG_WAITALL)
            if not got:
                raise _Gone
            at = at[got:]
        return bytes(data)

    def _variables(self) -> Dict[str, str]:
        digits = b""
        while not digits.endswith(b":"):
            digits += self._read(1)
        texts = self._read(int(digits[:-1]) + 1)[:-2].decode("latin-1").split("\0")
        return dict(zip(texts[::2], texts[1::2]))

    def answer(self, mounts: List[Mount], debug: int, sends: bool) -> bool:
        """Calls the handler, sends the response, and returns False if the response was aborted."""
        aborted = False
        try:
            self._answer(mounts, debug, sends)
        except (_Gone, _Broken):
            if not self.parent():
                raise
            aborted = self.started
        self._end(aborted)
        return not aborted

    def _answer(self, mounts: List[Mount], debug: int, sends: bool) -> None:
        self.sends = sends
        variables = self._variables()
        self.handler, name, environ_class, start_class = mounts[int(variables.pop("fapws.mount"))]
        length = int(variables["CONTENT_LENGTH"])
        del variables["SCGI"]
        if not variables.pop("fapws.has_length"):
            del variables["CONTENT_LENGTH"]
        self.id = variables.pop("fapws.id")
        self.alarm(max(float(variables.pop("fapws.timeout")), 0.1))
        self.body = _Body(self.connection, length)
        self.line = "%s %s %s" % (variables["REQUEST_METHOD"], variables["REQUEST_URI"], variables["SERVER_PROTOCOL"])
        self.name = name
        self.head_only = variables["REQUEST_METHOD"] == "HEAD"
        stream: Any = io.BufferedReader(self.body, _BLOCK)
        if length <= _MEMORY:
            stream = io.BytesIO(stream.read())
        environ: Any = environ_class() if environ_class else {}
        environ.update(variables)
        environ.update({
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if variables.get("HTTPS") else "http",
            "wsgi.input": stream,
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": True,
            "wsgi.file_wrapper": FileWrapper,
            "fapws.disconnected": self.disconnected,
            "waitress.client_disconnected": self.disconnected,
        })
        try:
            self._call(self.handler, environ, start_class)
        except (_Gone, _Broken) if self.parent() else SystemExit:
            raise
        except BrokenPipeError:
            if self._sees(select.POLLHUP):
                raise _Gone from None
            self._fail(environ, debug)
        except BaseException:
            self._fail(environ, debug)

    def _call(self, call: Callable[..., Any], environ: Any, start_class: Optional[type]) -> None:
        self._new_start(start_class)
        result = call(environ, self.start)
        if not self.parent():
            raise SystemExit(0)
        try:
            self._result(result)
            self.whole = True
        finally:
            if not isinstance(result, (str, bytes, dict, list, tuple)):
                getattr(result, "close", lambda: None)()

    def _new_start(self, start_class: Optional[type]) -> None:
        self.start = (start_class or Start_response)()
        self.start._serve(self._chunk)

    def _fail(self, environ: Any, debug: int) -> None:
        """Responds if the handler has raised an exception: with the HTTPError, or else with status 500."""
        environ["fapws.request_id"] = self.id
        kind, error, trace = sys.exc_info()
        known = sys.modules.get("fapws._errors")
        if known and isinstance(error, known.HTTPError) and not self.started:
            if debug >= 1:
                self._log(error._log(), "answer of")
            try:
                self._call(error, environ, None)
                return
            except Exception:
                kind, error, trace = sys.exc_info()
        assert kind
        while trace and trace.tb_next and trace.tb_frame.f_code.co_filename == _FILE:
            trace = trace.tb_next
        what = "error in close() of" if self.whole else "error in"
        if self.objects and error is not None:
            log("error", f"{what} handler {self.name}, {self.line}", error=error.with_traceback(trace))
        else:
            self._log("\n" + "".join(traceback.format_exception(kind, error, trace)), what)
        if self.whole or self.started and 0 <= self.declared <= self.sent:
            return
        if not self.started and debug >= 1:
            from fapws._debugpage import page

            headers, body = page(kind, error, trace, environ, self.name, self.handler)
            self._new_start(None)
            self.start("500 Internal Server Error", headers)
            self._whole([body], "")
            return
        raise _Broken(_REPORTED)

    def _log(self, text: str, what: str = "warning in") -> None:
        sys.stderr.write(f"{what} handler {self.name}, {self.line}: {text}".rstrip("\n") + "\n")

    def _result(self, result: Any) -> None:
        if isinstance(result, dict):
            from json import dumps

            text = dumps(result, ensure_ascii=False, separators=(",", ":"))
            if self.started:
                self._chunk(text)
            else:
                self._whole([text], "application/json")
        elif isinstance(result, ChannelAnswer) and not self.started:
            self._send(self._head(-1, "", result))
        elif type(result) in (list, tuple) and not self.started:
            self._whole(list(result))
        elif isinstance(result, (str, bytes, bytearray, memoryview)):
            if self.started:
                self._chunk(result)
            else:
                self._whole([result])
        elif self.started or not self._file(result):
            self._iterate(result)
        if not self.started:
            self._send(self._head(-1, _type("")))
        if not self.bodyless and self.sent < self.declared:
            self._log(f"body has {self.sent} bytes, but its Content-Length is {self.declared}")
            raise _Broken(_REPORTED)

    def _whole(self, items: List[Any], kind: Optional[str] = None) -> None:
        data = [_bytes(item) for item in items]
        body = b"".join(data)
        head = self._head(len(body), _type(items[0] if items else "") if kind is None else kind)
        self._send(head + self._fit(body))

    def _iterate(self, result: Any) -> None:
        if type(result) is not FileWrapper and callable(getattr(result, "read", None)):
            items: Iterator[Any] = iter(FileWrapper(result))
        elif hasattr(type(result), "__iter__") or hasattr(type(result), "__getitem__"):
            items = iter(result)
            try:
                self.single = len(result) == 1
            except Exception:
                # PEP 3333 permits using the length of the first item as Content-Length only if len(result) is 1
                pass
        else:
            from fapws._arguments import wrong_result

            raise TypeError(wrong_result(self.handler, self.name, result))
        for item in items:
            self._chunk(item)
            if self.started and self.bodyless:
                break
            if self.sent != self.declared and self._sees(select.POLLHUP):
                raise _Gone

    def _chunk(self, item: Any) -> None:
        """Sends a piece of the body, and the head before the first piece (PEP 3333)."""
        data = _bytes(item)
        if not data:
            return
        head = b"" if self.started else self._head(len(data) if self.single else -1, _type(item))
        self._send(head + self._fit(data))

    def _file(self, result: Any) -> bool:
        """Sends the rest of a regular file with a known length, or returns False if result is not such a file."""
        file = result.filelike if type(result) is FileWrapper else result
        inner = file.file if type(file).__name__ == "_TemporaryFileWrapper" else file
        if type(inner) not in (io.FileIO, io.BufferedReader, io.BufferedRandom, io.TextIOWrapper):
            return False
        try:
            fd, at = inner.fileno(), inner.tell()
            found = os.fstat(fd)
        except (OSError, ValueError):
            return False
        if (found.st_mode & 0o170000) != 0o100000:
            return False
        if not _has_size(fd, found):
            self.unsized = found.st_size
            return False
        size = max(found.st_size - at, 0)
        name = getattr(file, "name", None)
        head = self._head(size, _type_of(name) if isinstance(name, str) else "application/octet-stream")
        self._send(head)
        if self.bodyless:
            return True
        left = size if self.declared < 0 else min(size, self.declared)
        while left > 0:
            block = os.pread(fd, min(left, _BLOCK), at + self.sent)
            if not block:
                break
            left -= len(block)
            self.sent += len(block)
            self._send(block)
        return True

    def _head(self, whole: int, kind: str, channel: Any = None) -> bytes:
        """Returns the head of the response. The parameter whole is the length of the body, or -1 if it is unknown."""
        status, reason, fields, length, typed, start = self.start._head(channel)
        if self.sends and any(
            line.lower().startswith((b"x-sendfile:", b"x-accel-redirect:")) for line in fields.split(b"\n")
        ):
            raise RuntimeError("X-Sendfile and X-Accel-Redirect are not available with --fork: return the open file")
        if length == self.unsized:
            length = -1  # ignore the wrong size, which frameworks copy from fstat to Content-Length
        self.started = True
        self.bodyless = self.head_only or status in (204, 304)
        self.declared = length
        # HEAD must have the Content-Length of GET, which is unknown if the handler returns an empty body for HEAD.
        unknown = self.bodyless and (whole == 0 or not self.head_only)
        if self.declared < 0 and not unknown:
            self.declared = whole
        lines = [b"Status: %d %b\r\n" % (status, reason), fields]
        if not typed and channel is None and status not in (204, 304):
            lines.append(b"Content-Type: %b\r\n" % kind.encode("latin-1"))
        if self.declared >= 0:
            lines.append(b"Content-Length: %d\r\n" % self.declared)
        return b"".join(lines) + b"\r\n" + start

    def _fit(self, data: bytes) -> bytes:
        """Returns data, truncated if the body would exceed its Content-Length."""
        if self.bodyless:
            return b""
        if self.declared >= 0 and self.sent <= self.declared < self.sent + len(data):
            self._log(f"body exceeds its Content-Length of {self.declared}; truncated")
            data = data[: self.declared - self.sent]
        self.sent += len(data)
        return data

    def _send(self, data: bytes) -> None:
        self.alarm(0)  # Stop the timer, because the client may be slow.
        try:
            self.connection.sendall(data)
        except OSError:
            raise ClientDisconnected("the client has disconnected") from None
        self.alarm(self.timeout)

    def _end(self, aborted: bool) -> None:
        """Tells the server that the response is complete, or was aborted. If the process ends without a response head,
        the server knows that the handler has failed and that the reason was logged.
        """
        self.alarm(0)
        if not self.parent():
            return
        # When the server ends, the loader sends SIGTERM to its children.
        # Ignore the signal, because code that runs after the response has _END seconds to finish.
        signal.signal(signal.SIGTERM, lambda *_: None)
        if aborted:
            self.connection.close()
            return
        try:
            while self.body.left:
                self.body.read(_BLOCK)
            self._read(1)
            self.connection.shutdown(socket.SHUT_WR)
        except (_Gone, OSError):
            pass


def _has_size(fd: int, found: os.stat_result) -> bool:
    """Whether a file ends at the size that it reports, unlike files in /proc and /sys."""
    size = found.st_size
    return found.st_blocks > 0 or not os.pread(fd, 1, size) and (not size or bool(os.pread(fd, 1, size - 1)))


def _bytes(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return item.encode("utf-8")
    if isinstance(item, (bytearray, memoryview)):
        return bytes(item)
    raise TypeError(f"a response must consist of str or bytes, not {type(item).__name__}: {item!r:.200}")


def _type(item: object) -> str:
    return "text/html; charset=utf-8" if isinstance(item, str) else "application/octet-stream"


def _type_of(name: str) -> str:
    from mimetypes import guess_type

    kind, coding = guess_type(name, strict=False)
    if not kind or coding:
        return "application/octet-stream"
    return kind + ("; charset=utf-8" if kind.startswith("text/") else "")
