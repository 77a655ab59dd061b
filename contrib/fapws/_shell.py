"""``fapws shell APP``: Python, with the application loaded."""
from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

    Entry = Tuple[str, Any, str]
    App = Tuple[str, Dict[str, Any], List[Entry]]

__all__ = ["main"]


def main(apps: List[App]) -> Optional[BaseException]:
    """Runs Python code from stdin in the globals of the first of apps. An app is (name, globals, entries) with
    entries (prefix, object, name).

    If the first app serves one object, ``app`` is this object. With several applications, ``apps`` maps each name to
    the globals. At a terminal, this is an interactive shell, with IPython if it is installed; otherwise stdin is a
    script. Returns the exception that ended the code, or None.
    """
    from fapws._load import theirs
    from fapws._framework import framework

    _, space, entries = apps[0]
    for _, entry, _ in entries:
        app, kind = framework(entry)
        if kind == "flask.app.Flask":
            app.app_context().push()
            space.update(app.make_shell_context())
    if len(entries) == 1:
        space.setdefault("app", entries[0][1])
    if len(apps) > 1:
        space.setdefault("apps", {name: names for name, names, _ in apps})
    try:
        if sys.stdin is not None and sys.stdin.isatty():
            _dialogue(space, apps)
        elif sys.stdin is not None:
            exec(compile(sys.stdin.read(), "<stdin>", "exec"), space)
    except BaseException as error:  # including SystemExit, which contains the exit code
        error.__traceback__ = theirs(error.__traceback__)
        return error
    return None


def _dialogue(space: Dict[str, Any], apps: List[App]) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)
    served = ", ".join(entries[0][2] if len(entries) == 1 else f"{len(entries)} paths" for _, _, entries in apps)
    banner = f"Python {sys.version.split()[0]} in fapws: {served}"
    try:
        from IPython import start_ipython
    except ImportError:
        start_ipython = None
    # Inside the except clause, each later error in the shell would show the ImportError as its context.
    if start_ipython is None:
        _plain(space, banner)
    else:
        print(banner)
        start_ipython(argv=["--no-banner"], user_ns=space)


def _plain(space: Dict[str, Any], banner: str) -> None:
    import code

    hook = getattr(sys, "__interactivehook__", None)  # set by module site, for readline and its history
    if hook is not None:
        hook()
    try:
        import readline
        from rlcompleter import Completer
    except ImportError:
        pass
    else:
        readline.set_completer(Completer(space).complete)
        readline.parse_and_bind("tab: complete")
    code.interact(banner, local=space, exitmsg="")
