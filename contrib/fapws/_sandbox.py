"""The directories that Python and the applications read after ``--sandbox`` has taken away all others.

The executable calls paths when the applications have loaded.
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
    """Absolute paths of directories, and of archives: the search path of modules, the standard library, and the
    directories of the modules that were found elsewhere. The root directory is not among them."""
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
