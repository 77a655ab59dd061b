"""Detects scripts with PATHS that use the keys of :class:`fapws.base.Environ` without importing this class.

A plain dict is the fastest environ for a handler, so the handlers of a script get an Environ only if its source text
contains a key of Environ. The check reads the script and the modules that it imports from the same directory.
"""
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, Optional

#: The keys of Environ, in the form in which source text contains them.
KEYS = (b"fapws.params", b"fapws.remote_addr", b"fapws.uri", b"fapws.raw_path", b"fapws.raw_header")


def environ_for(names: "Dict[str, Any]") -> "Optional[type]":
    """Returns the class Environ if the script uses a key of Environ, otherwise None. The parameter ``names`` is the
    script's globals."""
    if not any(map(_names_a_key, _files(names))):
        return None
    from fapws._environ import Environ

    return Environ


def _files(names: "Dict[str, Any]") -> "Iterator[str]":
    """Yields the script, and then the modules below its directory that are not installed packages."""
    script = names.get("__file__")
    if not isinstance(script, str):
        return
    yield script
    folder = os.path.dirname(os.path.abspath(script)) + os.sep
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if (
            isinstance(path, str) and path.startswith(folder) and path.endswith(".py")
            and f"{os.sep}site-packages{os.sep}" not in path
        ):
            yield path


def _names_a_key(path: str) -> bool:
    try:
        with open(path, "rb") as source:
            text = source.read()
    except OSError:
        return False
    return any(key in text for key in KEYS)
