"""Prepares a zip archive of Python, for fapws app.pyz."""
from __future__ import annotations

import os
import sys
from zipimport import zipimporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["prepare", "run"]


def prepare(archive: str) -> None:
    """Makes the packages of an archive importable. Archives of shiv and pex are unpacked as python3 unpacks them."""
    importer = zipimporter(archive)
    if _has(importer, "PEX-INFO"):
        __import__("__pex__")
        del sys.modules["__pex__"]  # another pex has a module of the same name
        return
    if not _has(importer, "environment.json"):
        return
    from _bootstrap import bootstrap  # type: ignore[import-not-found]

    before = sys.argv[0]
    sys.argv[0] = archive
    # shiv ends with a call of its entry point. It must not be the application here, which is not called yet.
    os.environ["SHIV_ENTRY_POINT"] = "builtins:dict"
    try:
        bootstrap()
    except SystemExit:
        pass
    finally:
        sys.argv[0] = before
        os.environ.pop("SHIV_ENTRY_POINT", None)


def _has(importer: zipimporter, name: str) -> bool:
    try:
        importer.get_data(name)
    except OSError:
        return False
    return True


def run(archive: str) -> ModuleType:
    """Runs the file __main__.py of an archive, as python3 does, and returns the module."""
    importer = zipimporter(archive)
    main = sys.modules["__main__"]
    vars(main).update(__file__=os.path.join(archive, "__main__.py"), __loader__=importer)
    exec(importer.get_code("__main__"), vars(main))
    return main
