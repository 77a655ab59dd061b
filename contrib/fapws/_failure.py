"""One line about an exception that ended the loading of an application.

The executable prints this line after the traceback: file, line, reason and, if known, the next step.
"""
from __future__ import annotations

import os
import re
import sys
import sysconfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Iterator, List, Optional, Tuple

__all__ = ["bundle_lacks", "describe", "describe_text", "executing", "is_of_signal", "log"]

_LONGEST = 300
_OURS = (lambda: None).__code__.co_filename.rpartition("_failure")[0]  # begins the file names in code of this package
_FRAME = re.compile(r'^\s*File "(.+)", line (\d+)', re.MULTILINE)


def describe(error: BaseException, name: str) -> str:
    """Return "FILE:LINE: REASON", with "; NEXT STEP" appended if a next step is known.

    error -- the exception that the user's code raised while it was loaded
    name  -- replaces FILE:LINE if no code of the user is involved
    """
    place = _place(error) or name
    step = _next_step(error)
    return f"{place}: {_reason(error)}{step and '; '}{step}"


def describe_text(text: str, name: str) -> str:
    """Return "FILE:LINE: REASON" for a traceback that a framework has formatted."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    frames = [(file, int(line)) for file, line in _FRAME.findall(text)]
    return f"{_last(frames) or name}: {_shortened(lines[-1] if lines else 'no reason given')}"


def executing() -> str:
    """Return "FILE:LINE FUNCTION" for the user's code that the main thread executes, and for the library function that
    this code has called."""
    import threading

    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    places = []
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(("<frozen ", _OURS)):
            places.append((_is_library(file), f"{_shown(file, frame.f_lineno)} {frame.f_code.co_name}"))
        frame = frame.f_back
    own = next((place for library, place in places if not library), "")
    inner = places[0][1] if places else ""
    return f"{own}, in {inner}" if own and own != inner else inner


def is_of_signal(error: BaseException) -> bool:
    """Whether a signal handler has raised error. Python passes the interrupted frame to a signal handler. A frame whose
    argument is the calling frame therefore belongs to a signal handler."""
    import signal

    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return True
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        for value in frame.f_locals.values():
            if value is frame.f_back or type(value) is tuple and len(value) == 2 and value[1] is frame.f_back:
                return frame.f_back is not None
        trace = trace.tb_next
    return False


def log(level: str, text: str, stream: Any = None, error: Optional[BaseException] = None) -> None:
    """Write a message to the error log, with the traceback of error.

    stream -- the wsgi.errors that gets the message, which may be the log file of a host
    """
    raised = (type(error), error, error.__traceback__) if error is not None else ()
    try:
        import _fapws
    except ImportError:  # outside the server
        from fapws._traceback import report

        line = f"fapws: {text}\n"
        (stream or sys.stderr).write(report(line, *raised) if raised else line)
        return
    _fapws.log(level, text, getattr(stream, "_number", 0), *raised)


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        code = "" if error.code is None else repr(error.code)
        return f"sys.exit({_shortened(code)}) was called while loading, so nothing is served"
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        text = (error.msg if isinstance(error, SyntaxError) else str(error)) or ""
    except Exception:
        text = ""
    return f"{name}: {_shortened(text)}" if text.strip() else name


def _shortened(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = "".join(c if c.isprintable() else " " for c in lines[0]) if lines else ""
    if len(first) > _LONGEST:
        return first[:_LONGEST] + "..."
    return first + " ..." if len(lines) > 1 else first



def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return _shown(error.filename, error.lineno or 1)
    return _last(list(_frames(error.__traceback__)))


def _frames(tb: Optional[TracebackType]) -> Iterator[Tuple[str, int]]:
    while tb is not None:
        yield tb.tb_frame.f_code.co_filename, tb.tb_lineno
        tb = tb.tb_next


def _last(frames: List[Tuple[str, int]]) -> str:
    """Returns the innermost frame of the user's own code or, if there is none, the innermost frame."""
    for file, line in reversed(frames):
        if not _is_library(file):
            return _shown(file, line)
    return _shown(*frames[-1]) if frames else ""


def _is_library(file: str) -> bool:
    if file.startswith("<"):
        return True
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return any(f"{os.sep}{name}{os.sep}" in file for name in ("site-packages", "dist-packages")) or any(
        path and file.startswith(path + os.sep) for path in paths
    ) or file.startswith(_OURS)


def _shown(file: str, line: int) -> str:
    try:
        here = os.path.relpath(file)
    except (OSError, ValueError):
        here = file
    return f"{file if here.startswith(os.pardir) else here}:{line}"



def _next_step(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return bundle_lacks(error) or _missing(error.name)
    if isinstance(error, SyntaxError):
        return f"this fapws runs Python {_version()}"
    if isinstance(error, SystemExit) and "django" in sys.modules:
        return "for a Django site, name its WSGI module: fapws PROJECT.wsgi"
    return ""


def bundle_lacks(error: Optional[BaseException]) -> str:
    """Return a line about the module whose absence from the bundle has caused error, or ""."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__ or error.__context__
    if error is None or not error.name or not os.path.isfile(os.path.join(sys.prefix, "app", "fapws.toml")):
        return ""
    return f"this bundle has no module {error.name}: write it again with --include {error.name}"


def _version() -> str:
    return "%d.%d" % sys.version_info[:2]


def _missing(name: str) -> str:
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        file = _extension(sys.modules[parent], last)
        if file:
            return f"{file} is for another Python or C library: install {parent} again"
        return f"{parent} has no such module"
    if name == "_ssl":
        return "this Python was built without OpenSSL; for musl, ./build.sh musl --ssl builds fapws with it"
    top = name.partition(".")[0]
    for folder in _neighbours():
        if os.path.isfile(os.path.join(folder, top + ".py")) or os.path.isfile(
            os.path.join(folder, top, "__init__.py")
        ):
            return f"{top} is in {folder}: add --pythonpath {folder}"
    if sys.prefix != sys.base_prefix:
        return f"install it in the virtual environment: {os.path.join(sys.prefix, 'bin', 'pip')} install PACKAGE"
    return (
        f"install it in a virtual environment (python{_version()} -m venv venv; venv/bin/pip install PACKAGE),"
        " or name the one that has it with --venv DIR"
    )


def _extension(package: Any, name: str) -> str:
    """Returns the file name of an extension module that this Python has not found because of its ending, or ""."""
    for folder in getattr(package, "__path__", ()):
        for file in os.listdir(folder) if os.path.isdir(folder) else ():
            if file.startswith(name + ".") and file.endswith(".so"):
                return file
    return ""


def _neighbours() -> Iterator[str]:
    """Yields folders that are not on sys.path and may contain the missing module."""
    first = sys.path[0] if sys.path else ""
    for folder in (os.getcwd(), os.path.dirname(first), os.path.join(first, "src"), os.path.join(os.getcwd(), "src")):
        if folder and folder not in sys.path:
            yield folder
