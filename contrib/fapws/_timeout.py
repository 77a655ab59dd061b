"""Exceptions that the server raises in handlers: ``fapws.Timeout`` and ``fapws.ClientDisconnected``."""
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Optional

try:
    from fapws._native import ClientDisconnected, Timeout
# outside the server, for tests of code that catches these exceptions
except ImportError:

    class ClientDisconnected(BrokenPipeError):  # type: ignore[no-redef]
        """An exception raised by write() and send() after the client has disconnected."""

        __module__ = "fapws"

    class Timeout(Exception):  # type: ignore[no-redef]
        """An exception raised in a handler that takes longer than --timeout."""

        __module__ = "fapws"


__all__ = ["ClientDisconnected", "Timeout", "is_at_console"]

# File and name of functions of consoles. IPython's debugger and most other debuggers call the function of pdb.
_CONSOLES = (
    ("/pdb.py", "interaction"), ("/cmd.py", "cmdloop"), ("/code.py", "interact"),
    ("/IPython/terminal/embed.py", "mainloop"), ("/pudb/debugger.py", "interaction"), ("/ptpython/repl.py", "embed"),
    ("/bpython/__init__.py", "embed"), ("/pydevd.py", "do_wait_suspend"), ("/pydevd.py", "_do_wait_suspend"),
    ("/pydevd.py", "block_until_configuration_done"),
)


def is_at_console() -> bool:
    """Whether a thread waits for a developer in a console, which need not use sys.settrace."""
    for frame in sys._current_frames().values():
        at: Optional[FrameType] = frame
        while at is not None:
            code = at.f_code
            if any(code.co_name == name and code.co_filename.endswith(file) for file, name in _CONSOLES):
                return True
            at = at.f_back
    return False
