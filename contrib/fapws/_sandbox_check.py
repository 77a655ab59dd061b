"""``fapws check --sandbox``: records what the sandbox denies to the applications while the executable sends requests
for their paths."""
from __future__ import annotations

import errno
import os
import socket
import sys
from threading import local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple

    App = Tuple[str, Dict[str, Any], List[Tuple[str, Any, str]]]

__all__ = ["main", "targets"]

_output = -1
_inside = local()


def main(apps: List[App]) -> None:
    """Starts recording. For each denied file, program and port, a line with the setting that would permit the access is
    written to the file "denied" in the directory for temporary files."""
    global _output
    _output = os.open(os.path.join(os.environ["TMPDIR"], "denied"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.addaudithook(_hook)


def targets(apps: List[App]) -> List[str]:
    """Returns the paths of routes that have GET and no parameters. For an entry of PATHS without such routes, returns
    its prefix."""
    from fapws._routes import rows

    found: List[str] = []
    for _, _, entries in apps:
        for entry in entries:
            paths = [
                row.path for row in rows(*entry)
                if ("GET" in row.methods or row.methods == "any") and not set(row.path) & set("<{*:?(")
            ]
            found += paths or [entry[0] or "/"]
    return list(dict.fromkeys(found))


def _hook(event: str, args: Tuple[Any, ...]) -> None:
    if event not in _LOOKS or getattr(_inside, "hook", False):
        return
    _inside.hook = True
    try:
        line = _LOOKS[event](*args)
        if line:
            os.write(_output, os.fsencode(f"{_caller()}: {line}\n"))
    except Exception:  # Ignore an invalid argument, for which the audited function raises an exception.
        pass
    finally:
        _inside.hook = False


def _caller() -> str:
    """Returns the innermost executing line that is neither in the standard library nor in this package."""
    here = os.path.dirname(os.__file__)
    frame = sys._getframe(2)
    inner = frame
    while frame:
        file = frame.f_code.co_filename
        packages = os.sep + "site-packages" + os.sep in file or os.sep + "dist-packages" + os.sep in file
        if (
            os.path.isfile(file)
            and (packages or not file.startswith(here + os.sep))
            and not file.startswith(_caller.__code__.co_filename.rpartition("_sandbox_check")[0])
        ):
            inner = frame
            break
        frame = frame.f_back  # type: ignore[assignment]
    return f"{inner.f_code.co_filename}:{inner.f_lineno}"


def _refused(path: Any, flags: int) -> bool:
    """Whether the sandbox, and not the permissions of the file, forbids opening it."""
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EACCES and os.access(
            path, os.R_OK if flags & os.O_ACCMODE == os.O_RDONLY else os.W_OK
        )
    return False


def _creation(path: Any) -> Optional[str]:
    """Returns a line about the missing permission if no file can be created in the directory of path, otherwise
    None."""
    folder = os.path.dirname(os.path.abspath(os.fsdecode(path)))
    if hasattr(os, "O_TMPFILE") and _refused(folder, os.O_TMPFILE | os.O_WRONLY):
        return f"cannot change {folder}; --sandbox-write {folder} allows it"
    return None


def _open(path: Any, mode: Any = None, flags: int = os.O_RDONLY) -> Optional[str]:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    name = os.path.abspath(os.fsdecode(path))
    writes = flags & os.O_ACCMODE != os.O_RDONLY
    if not os.path.exists(name):
        return _creation(name) if flags & os.O_CREAT else None
    if os.path.isfile(name) and _refused(name, os.O_WRONLY if writes else os.O_RDONLY):
        return (
            f"cannot write {name}; --sandbox-write {name} allows it" if writes
            else f"cannot read {name}; --sandbox-read {name} allows it"
        )
    return None


def _list(path: Any = ".") -> Optional[str]:
    name = os.path.abspath(os.fsdecode(path or "."))
    return (
        f"cannot list {name}; --sandbox-read {name} allows it" if _refused(name, os.O_RDONLY | os.O_DIRECTORY) else None
    )


def _database(path: Any, *_: Any) -> Optional[str]:
    if os.fsdecode(path) in ("", ":memory:") or os.fsdecode(path).startswith("file:"):
        return None
    return _creation(path) or _open(path, None, os.O_RDWR)


def _run(executable: Any, *_: Any) -> Optional[str]:
    from shutil import which

    name = which(os.fsdecode(executable)) or os.fsdecode(executable)
    try:
        # If the sandbox permits no programs, the error is EACCES, even though the file does not exist.
        os.execve("/nonexistent/fapws", ["fapws"], {})
    except OSError as error:
        if error.errno == errno.EACCES or os.path.isfile(name) and _refused(name, os.O_RDONLY):
            return f"cannot run {name}; --sandbox-exec {name} allows it"
    return None


def _connect(connection: socket.socket, address: Any) -> Optional[str]:
    if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.type != socket.SOCK_STREAM:
        return None
    with socket.socket(connection.family, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(address) in (errno.EACCES, errno.EPERM):
            return f"cannot connect to {address[0]} port {address[1]}; --sandbox-connect {address[1]} allows it"
    return None


def _bind(connection: socket.socket, address: Any) -> Optional[str]:
    if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.type != socket.SOCK_STREAM:
        return None
    port = address[1]
    if port == 0 or (port < 1024 and os.geteuid() != 0):
        # Ignore ports that the kernel chooses, and ports for which the user may lack the privilege.
        return None
    with socket.socket(connection.family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(address)
        except PermissionError:
            return f"cannot listen on port {port}; --sandbox-bind {port} allows it"
        except OSError:  # the port is in use, for example
            pass
    return None


def _unix(connection: socket.socket, family: int, *_: Any) -> Optional[str]:
    # If socket.__init__ was called with fileno, the socket already exists, for example as part of a socket pair.
    made = sys._getframe(2).f_locals.get("fileno")
    if family != getattr(socket, "AF_UNIX", None) or made is not None:
        return None
    try:
        socket.socket(family).close()
    except PermissionError:
        return "cannot make unix sockets; --sandbox-connect unix allows it"
    return None


def _first(look: Callable[[Any], Optional[str]]) -> Callable[..., Optional[str]]:
    return lambda path, *_: look(path)


_LOOKS: Dict[str, Callable[..., Optional[str]]] = {
    "open": _open,
    "os.listdir": _list,
    "os.scandir": _list,
    "os.mkdir": _first(_creation),
    "os.remove": _first(_creation),
    "os.rename": lambda source, target, *_: _creation(source) or _creation(target),
    "os.rmdir": _first(_creation),
    "os.symlink": lambda source, target, *_: _creation(target),
    "os.link": lambda source, target, *_: _creation(target),
    "os.truncate": lambda path, *_: _open(path, None, os.O_WRONLY),
    "os.system": lambda command: _run("/bin/sh"),
    "os.posix_spawn": _run,
    "sqlite3.connect": _database,
    "subprocess.Popen": _run,
    "socket.__new__": _unix,
    "socket.bind": _bind,
    "socket.connect": _connect,
}
