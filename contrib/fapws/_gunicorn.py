"""Runs a gunicorn.conf.py and returns its global variables, in a process that serves nothing.

The names of gunicorn's settings are in cmd/fapws/settings/gunicorn.go.
"""
from __future__ import annotations

import json
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

__all__ = ["read"]


def read(path: str) -> str:
    """Return JSON: an object of strings, the values of the global variables as flags would have them, or a string, the
    line of the error with which the file has failed.

    As in gunicorn, the file is the module __config__, and None, "" and [] leave a setting as it is.
    """
    module = types.ModuleType("__config__")
    module.__file__ = path
    sys.modules["__config__"] = module
    try:
        with open(path, "rb") as source:
            code = compile(source.read(), path, "exec")
        exec(code, module.__dict__)
    except BaseException as error:  # including SystemExit, with which a configuration gives up
        from fapws._failure import describe

        return json.dumps(describe(error, path))
    values: Dict[str, str] = {}
    for name, value in vars(module).items():
        text = None if name.startswith("_") else _text(name, value)
        if text:
            values[name] = text
    return json.dumps(values)


def _text(name: str, value: Any) -> Optional[str]:
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:o}" if name == "umask" else f"{value:d}"
    if isinstance(value, (float, str)):
        return str(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(str, value))
    return type(value).__name__
