"""The server in tests, which need the wheel of fapws: the real program in a process of its own, with real sockets.

::

    from urllib.request import urlopen
    from fapws.testing import serve

    def test_hello():
        with serve("main:app") as server:
            assert urlopen(server.url + "/hello").read() == b"Hello\\n"

With pytest, ``pytest_plugins = "fapws.testing"`` in ``conftest.py`` adds the fixture ``fapws_server``, which ends the
server after the test::

    def test_hello(fapws_server):
        server = fapws_server("main:app", workers=2)

The application runs in another process: it does not see a database in the memory of the test, or what a test patches.
"""
from __future__ import annotations

import os
import socket
import subprocess
import sys
import weakref

from fapws._run import command, flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, List, Mapping, Optional

__all__ = ["Server", "serve"]

_PATIENCE = 60  # time in seconds after which a server that does not end is killed


class Server:
    """A running server, also a context manager that stops it. Its methods may be called from any thread."""

    #: The address, such as ``http://127.0.0.1:40123``, without a slash at the end.
    url: str
    #: The port on 127.0.0.1.
    port: int
    #: The running process.
    process: subprocess.Popen[bytes]

    def __init__(self, words: List[str], env: Optional[Mapping[str, str]], cwd: Optional[str]) -> None:
        # The listening socket is opened before the server starts, so requests wait in its queue, and no other program
        # can use its port.
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            self.port = listener.getsockname()[1]
            self.url = "http://127.0.0.1:%d" % self.port
            # Not a file object, which would cause a ResourceWarning unless stop() closed it: output() also works after
            # stop().
            self._output = os.memfd_create("output")
            weakref.finalize(self, os.close, self._output)
            self.process = subprocess.Popen(
                words + ["--bind=fd://%d" % listener.fileno()], pass_fds=[listener.fileno()], cwd=cwd,
                env=None if env is None else {**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=self._output,
                stderr=self._output,
            )

    def output(self) -> str:
        """Returns the messages, tracebacks and prints that the server and the application have written until now."""
        return os.pread(self._output, os.fstat(self._output).st_size, 0).decode("utf-8", "replace")

    def stop(self) -> int:
        """Stops the server, waits for its end, and returns its exit code: 0 after a normal stop."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()
        if failure[0]:
            sys.stderr.write(self.output())


def serve(
    app: str, *, cwd: Optional[str] = None, env: Optional[Mapping[str, str]] = None, **settings: object
) -> Server:
    """Starts the server with an application, named as on the command line: ``"main:app"``, ``"main.py"``, a folder.

    Settings are flags with underscores, as for ``fapws.run``: ``serve("main:app", workers=2, timeout="5s")``. ``env``
    has variables in addition to those of this process. Without ``cwd``, the server has the working directory of this
    process. Requests may be sent at once: they wait until the application is loaded, and fail if it cannot be. Then
    ``output()`` says why. RuntimeError: the executable is not installed.
    """
    if os.geteuid() == 0:
        settings.setdefault("allow_root", True)
    return Server(command() + [app] + flags(settings), env, cwd)


if "pytest" in sys.modules:
    import pytest

    @pytest.fixture
    def fapws_server() -> Iterator[Callable[..., Server]]:
        """Start servers as ``serve`` does, and stop them after the test; pytest shows what they have written."""
        servers: List[Server] = []

        def start(app: str, **settings: Any) -> Server:
            servers.append(serve(app, **settings))
            return servers[-1]

        yield start
        for server in servers:
            server.stop()
            sys.stderr.write(server.output())
