"""Finds the modules of packages fapws and fapws4 in the executable, and changes modules of Python when they are imported.
If the executable has Python's standard library, too, this is an entry of sys.path.

The executable imports this module before the application. Before Python 3.13, module threading regards the thread that
imports it first as the main thread. If a handler were the first to import threading, Python could not end after the
handler's thread has ended. Therefore the finder loads threading with the right main thread. Files that handlers have
opened are not closed when Python ends, so the last atexit function flushes their buffers.
"""
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import PathFinder
from _thread import get_ident, get_native_id
from posix import getpid

from _fapws import packed_code, packed_exec, packed_kind, packed_names, packed_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, Optional

__all__ = ["install", "sources"]

_PACKAGES = "fapws", "fapws4"
_LIBRARY = "/<python>"  # stands for the standard library in sys.path; absolute, because module site makes it so


class _Loader:
    """Loads a module from the archive in the executable."""

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """Leaves the creation of the module to Python."""

    exec_module = staticmethod(packed_exec)

    @staticmethod
    def get_code(name: str) -> "Optional[CodeType]":
        return packed_code(name)

    @staticmethod
    def get_source(name: str) -> "Optional[str]":
        try:
            return packed_source(name)
        except ImportError:  # This Python has no zlib.
            return None

    @staticmethod
    def is_package(name: str) -> "Optional[bool]":
        return packed_kind(name)


class _Library:
    """Finds the modules of the standard library in the executable."""

    @staticmethod
    def find_spec(name: str, target: "Any" = None) -> "Optional[ModuleSpec]":
        package = packed_kind(name)
        if package is None:
            return None
        # a loader of its own, because other code of this package replaces its exec_module
        spec = ModuleSpec(name, _Loader(), origin=f"<frozen {name}>", is_package=package)  # type: ignore[arg-type]
        if package:
            spec.submodule_search_locations = [f"{_LIBRARY}/{name.replace('.', '/')}"]
        return spec


def _add_library() -> None:
    """Replaces the folders and the zip archive of Python's standard library, which end sys.path, by _LIBRARY."""

    def hook(path: str) -> "type[_Library]":
        if not path.startswith(_LIBRARY):
            raise ImportError
        return _Library

    sys.path_hooks.insert(0, hook)  # type: ignore[arg-type]
    sys.path[-3:] = [_LIBRARY]
    sys.modules["encodings"].__path__ = [_LIBRARY + "/encodings"]


def _file_name(name: str, package: "Optional[bool]") -> str:
    """Returns the file name in the code of a module. No file has this name. scripts/archive.py has the same function."""
    top, dot, rest = (name + ".__init__" * bool(package)).partition(".")
    return f"<{top}>{dot}{rest}"


def sources() -> "bytes":
    """Returns a zip archive with the packages, for processes that are not the executable."""
    from io import BytesIO
    from zipfile import ZIP_DEFLATED, ZipFile

    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name in packed_names():
            if not name.startswith(_PACKAGES):
                continue
            path = (name + ".__init__" * bool(packed_kind(name))).replace(".", "/") + ".py"
            archive.writestr(path, packed_source(name) or "")
    return file.getvalue()


def install(archived: bool, loop: str) -> None:
    """Installs the finder, which is the first of sys.meta_path.

    archived -- whether the packages are in the archive, and not in a folder
    loop     -- type of asyncio's event loop: "auto", "asyncio" or "uvloop"
    """
    main = get_ident(), get_native_id(), getpid()
    folder = "" if archived else sys.modules["fapws"].__path__[0].rpartition("/")[0]

    class Finder:
        @staticmethod
        def find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "Optional[ModuleSpec]":
            if name.startswith("fapws"):
                if not archived:
                    return PathFinder.find_spec(name, [folder], target) if name in _PACKAGES else None
                package = packed_kind(name)
                if package is not None:
                    return ModuleSpec(name, _Loader, origin=_file_name(name, package), is_package=package)  # type: ignore
            if name == "asyncio.events":
                from fapws._loop import spec_of_events

                return spec_of_events(loop, main[0], path, target)
            if name == "multiprocessing.spawn":
                from fapws._spawned import spec_of_spawn

                return spec_of_spawn(folder, path, target)
            if name == "threading" and sys.version_info < (3, 13) and get_ident() != main[0]:
                from fapws._main_thread import spec_of_threading

                return spec_of_threading(*main)
            return None

    sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]
    if packed_kind("site") is not None:
        _add_library()
    if "asyncio.events" in sys.modules:
        from fapws._loop import change_events

        change_events(sys.modules["asyncio.events"], loop, main[0])
    import atexit

    @atexit.register
    def flush() -> None:
        import _io
        import gc

        gc.unfreeze()
        for one in gc.get_objects():
            if issubclass(type(one), _io._IOBase):
                try:
                    one.flush()
                except Exception:
                    pass
