"""Starting the server from Python: ``fapws.run``, and the command lines that ``fapws.testing`` uses, too."""
from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List

__all__ = ["run"]


def run(app: object = None, **settings: object) -> None:
    """Serves an application, at the end of a script::

        import fapws
        from flask import Flask

        app = Flask(__name__)
        if __name__ == "__main__":
            fapws.run(app, bind=":8000", workers=2)

    ``app`` is the application itself, which must be a global variable of a module, or its name as on the command line:
    ``"main:app"``, ``"main.py"``. Without it, the calling script is served. Settings are flags with underscores:
    ``True`` and ``False`` turn a switch on and off, a list repeats the flag, and None leaves it out. The words of
    ``sys.argv[1:]`` stay the same.

    The server replaces this process: nothing after the call runs, nor do functions of ``atexit``, and a debugger or
    profiler loses the process. Within the server, which loads the same script, the call does nothing.
    ValueError: no module has ``app`` as a global variable. RuntimeError: the executable is not installed.
    """
    if serving():
        return
    caller: Dict[str, Any] = sys._getframe(1).f_globals
    words = command() + [name(app, caller)] + flags(settings) + ["--"] + sys.argv[1:]
    folder = os.path.realpath(sys.path[0])  # the folder of the script, where Python looks for modules
    if folder != os.getcwd():
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(words[0], words)


def serving() -> bool:
    """Whether this process belongs to the server."""
    try:
        import fapws._native  # noqa: F401
    except ImportError:
        return False
    return True


def command() -> List[str]:
    """The command that starts the server: the server in the wheel that contains this package, or the first fapws in
    PATH."""
    from shutil import which

    if os.path.exists(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libfapws.so")):
        return [sys.executable, "-m", "fapws"]
    found = which("fapws")
    if not found:
        raise RuntimeError("there is no command fapws in PATH: pip install fapws, or add its folder to PATH")
    if sys.prefix != sys.base_prefix:
        os.environ["FAPWS_VENV"] = sys.prefix  # activate or fapws.toml may name another environment, or none
    return [found]


def name(app: object, caller: Dict[str, Any]) -> str:
    """Returns the argument APP for an application, for a name, or for the script whose globals are caller."""
    if isinstance(app, str):
        return app
    if app is None:
        if not caller.get("__file__"):
            raise ValueError("run: the code that calls is not in a file; name the application: fapws.run('main:app')")
        return str(caller["__file__"])
    modules = [getattr(module, "__dict__", {}) for module in list(sys.modules.values())]
    for names in [caller] + modules:
        for key, value in list(names.items()):
            if value is app and not key.startswith("_") and names.get("__file__"):
                script = names is caller or names["__name__"] == "__main__"
                return "%s:%s" % (names["__file__" if script else "__name__"], key)
    raise ValueError(
        "run: no module has %.80r as a global variable, so the server cannot import it: make it global, or name a "
        "function that returns it: fapws.run('main:create_app', factory=True)" % (app,)
    )


def flags(settings: Dict[str, object]) -> List[str]:
    words = []
    for key, value in settings.items():
        flag = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            words.append("%s=%s" % (flag, "on" if value else "off"))
        elif isinstance(value, (list, tuple)):
            words += ["%s=%s" % (flag, one) for one in value]
        elif value is not None:
            words.append("%s=%s" % (flag, value))
    return words
