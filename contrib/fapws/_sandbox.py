"""The directories that Python and the applications may still read under ``--sandbox``.

The executable calls paths after the applications were loaded.
"""
from __future__ import annotations

import os
import sys
import sysconfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Set

__all__ = ["paths"]


def paths() -> List[str]:
    """Returns the absolute paths of directories and archives: the module search path, the standard library, and the
    directories of modules that were loaded from other places. The root directory is omitted."""
    found: Set[str] = set()
    for path in sys.path:
        found.add(os.path.abspath(path or os.curdir))
    for kind in ("stdlib", "platstdlib"):
        found.add(sysconfig.get_path(kind))
    found.discard(os.sep)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        place = os.path.dirname(os.path.abspath(file))
        for _ in range((getattr(module, "__name__", "") or "").count(".")):
            if os.path.isfile(os.path.join(place, os.pardir, "__init__.py")):
                place = os.path.dirname(place)
        if place != os.sep and not any(place == one or place.startswith(one + os.sep) for one in found):
            found.add(place)
    return sorted(found)
