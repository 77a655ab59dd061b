"""Notices a second Django project.

Django has the settings of one project for the process. A second project would be served with the settings, the database
and the SECRET_KEY of the first one.
"""
from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

__all__ = ["claim", "hide", "refused"]

_SETTINGS = "DJANGO_SETTINGS_MODULE"
_VARIABLES = _SETTINGS, "DJANGO_CONFIGURATION"  # the second one names a class, for django-configurations
_given = {name: os.environ.get(name) for name in _VARIABLES}
_first: Dict[str, Tuple[str, str]] = {}  # variable -> its value, and the application that has set it


def hide() -> None:
    """Restores the variables to their values at the start. An application usually sets them by os.environ.setdefault,
    which otherwise would not change the values of the application before it."""
    for name in _first:
        _set(name, _given[name])


def claim(application: str, script: str, path: List[str]) -> Tuple[str, str]:
    """Must be called after an application was loaded. If it needs other settings than the applications before it,
    returns these settings and those of the other application; otherwise ("", "").

    script -- file of the application's main module
    path   -- folders in which the application finds modules
    """
    from fapws._apart import check

    own = other = ""
    for name in _VARIABLES:
        value = os.environ.get(name) or ""
        if value == (_given[name] or ""):
            value = _configured(script) if name == _SETTINGS else ""
        if value:
            _first.setdefault(name, (value, application))
        taken, user = _first.get(name, ("", ""))
        if value and value != taken and not own:
            own, other = f"its Django settings {_described(value, path)}", f"{_described(taken, sys.path)} of {user}"
        elif value in sys.modules and user != application:
            try:
                # Django has imported the module already, perhaps from a folder of the other application.
                check(value, None, (), 0)
            except ImportError:
                pass  # fapws._apart.conflict tells it
        if taken and "(" not in taken:
            _set(name, taken)
    return own, other


def refused(error: Optional[BaseException]) -> Tuple[str, str]:
    """Is like claim, for the exception of an application that cannot be loaded."""
    if _SETTINGS in _first and isinstance(error, RuntimeError) and str(error).startswith("Settings already configured"):
        taken, user = _first[_SETTINGS]
        return "its settings.configure()", f"the Django settings {_described(taken, sys.path)} of {user}"
    return "", ""


def _configured(script: str) -> str:
    """Returns the settings of an application that has not set the variable, or "" if it has none of its own."""
    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        return ""
    try:
        with open(script, "rb") as source:
            # The call was not executed if the script first asks whether Django is configured.
            if b"settings.configure(" in source.read():
                return f"settings.configure() in {os.path.realpath(script)}"
    except OSError:
        pass
    return "" if _SETTINGS in _first else conf.settings.SETTINGS_MODULE or "settings.configure()"


def _described(value: str, path: List[str]) -> str:
    from fapws._apart import find

    files = [spec.origin for name, spec in find(path, value) if name == value] if "(" not in value else []
    return f"{value} ({files[0]})" if files else value


def _set(name: str, value: Optional[str]) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
