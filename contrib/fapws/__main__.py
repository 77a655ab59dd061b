"""Starts the server of the wheel: the command ``fapws``, and ``python -m fapws``.

The server is a library in the folder of this file. It runs in a process of this Python interpreter: the dynamic loader
preloads the library, which takes over before Python begins (see cmd/fapws/process in the source).
"""

import os
import sys
# Use the function of module posix, because a debugger may have replaced os.execv by a function that adds arguments.
from posix import execv

# cmd/fapws/process/preload.h defines the same variable names.
_LIBRARY, _INTERPRETER = "_FAPWS_LIBRARY", "_FAPWS_INTERPRETER"


def main() -> None:
    """Replaces this process by the server, with the same arguments. If that is impossible, the process exits with
    status 3 and an error message of one line."""
    if getattr(sys, "frozen", False) or not sys.executable:
        sys.exit(_failed(
            "this program brings its own Python (PyInstaller), and the server needs the interpreter itself: start"
            " it with python -m fapws"
        ))
    library = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libfapws.so")
    if _LIBRARY in os.environ:
        sys.exit(
            _failed(
                "the dynamic loader has not preloaded %s into %s: the interpreter must not be setuid or have"
                " capabilities (getcap), and the file system of the library not be mounted noexec"
                % (library, sys.executable)
            )
        )
    try:
        fd = os.open(library, os.O_RDONLY)
    except FileNotFoundError:
        sys.exit(_failed(
            "%s is missing; this package belongs to an executable: start that one, or pip install fapws" % library
        ))
    except OSError as e:
        sys.exit(_failed("cannot read %s: %s" % (library, e.strerror)))
    if not os.path.exists("/proc/self/fd"):
        sys.exit(_failed("/proc is missing, as in a new chroot; mount it: mount -t proc proc /proc"))
    os.set_inheritable(fd, True)
    # The dynamic loader separates the paths in LD_PRELOAD at spaces and colons, and expands $ORIGIN.
    # Replace a path that has a space, a colon or a dollar sign by a path in /proc/self/fd.
    # Keep all other paths, because a debugger would open a path in /proc/self/fd in its own process.
    preload = "/proc/self/fd/%d" % fd if set(library) & set(" :$") else library
    others = os.environ.get("LD_PRELOAD")
    os.environ["LD_PRELOAD"] = preload + ":" + others if others else preload
    os.environ.update({_LIBRARY: "%d:%s" % (fd, library), _INTERPRETER: sys.executable})
    recorder = _recorder()
    if recorder:
        _failed(
            "%s records nothing of the server, which now replaces this program: fapws help tools says what to type"
            " instead" % recorder
        )
    execv(sys.executable, [sys.executable, "-m", "fapws"] + sys.argv[1:])


def _recorder() -> str:
    """Returns the name of a profiler or debugger that runs in this process but would not run in the server, or ""."""
    found = [_name(hook) for hook in (sys.gettrace(), sys.getprofile()) if hook]
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12
    if monitoring:
        found += [name for name in map(monitoring.get_tool, range(6)) if name]
    found += [
        module.partition(".")[0] for module in ("memray.commands.run", "scalene.__main__") if module in sys.modules
    ]
    try:
        with open("/proc/%d/comm" % os.getppid()) as parent:
            found += {"austin", "py-spy"} & {parent.read().strip()}
    except OSError:  # The parent process is outside this container.
        pass
    # If a variable COVERAGE_PROCESS_... is set, coverage starts in every Python process, including the server.
    configured = any(name.startswith("COVERAGE_PROCESS_") for name in os.environ)
    return next((name for name in found if not (configured and name.startswith("coverage"))), "")


def _name(hook: object) -> str:
    """Returns the name of the package with a function that was passed to sys.settrace or sys.setprofile."""
    owner = getattr(hook, "__self__", hook)
    module = getattr(owner, "__module__", None) or type(owner).__module__
    package = module.partition(".")[0]
    return "debugpy" if package.startswith("_pydev") else "a profiler" if package == "__main__" else package


def _failed(why: str) -> int:
    print("fapws:", why, file=sys.stderr)
    return 3


if __name__ == "__main__":
    main()
