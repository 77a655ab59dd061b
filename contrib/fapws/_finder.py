"""Finds the modules of packages fapws and fapws4 in the executable, and changes modules of Python when they are imported.
If the executable has Python's standard library, too, this is an entry of sys.path. In a bundle, the application and its
packages are in the executable, too.

The executable imports this module before the application. Before Python 3.13, module threading regards the thread that
imports it first as the main thread. If a handler were the first to import threading, Python could not end after the
handler's thread has ended. Therefore the finder loads threading with the right main thread. Files that handlers have
opened are not closed when Python ends, so the last atexit function flushes their buffers.
"""
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader, FileFinder, FileLoader, PathFinder, SourceFileLoader
from _imp import _fix_co_filename, extension_suffixes
from _thread import get_ident, get_native_id
from posix import getpid

from _fapws import packed_code, packed_exec, packed_folder, packed_kind, packed_names, packed_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, Iterator, Optional, Tuple

__all__ = ["FOLDERS", "install", "sources"]

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
        if package is None or packed_folder(name) != 0:
            return None
        # a loader of its own, because other code of this package replaces its exec_module
        spec = ModuleSpec(name, _Loader(), origin=f"<frozen {name}>", is_package=package)  # type: ignore[arg-type]
        if package:
            spec.submodule_search_locations = [f"{_LIBRARY}/{name.replace('.', '/')}"]
        return spec


def _add_library(bundled: bool) -> None:
    """Replaces the folders and the zip archive of Python's standard library, which end sys.path unless this is a bundle,
    by _LIBRARY."""

    def hook(path: str) -> "type[_Library]":
        if not path.startswith(_LIBRARY):
            raise ImportError
        return _Library

    sys.path_hooks.insert(0, hook)  # type: ignore[arg-type]
    sys.path[len(sys.path) if bundled else -3 :] = [_LIBRARY]
    sys.modules["encodings"].__path__ = [_LIBRARY + "/encodings"]


FOLDERS = "", "lib", "app"  # below the folder of a bundle; packed_folder returns the index


class _FileLoader(FileLoader):
    """Loads a module of a bundle. Its path is that of a file, which need not exist: data of a package are next to it."""

    exec_module = staticmethod(packed_exec)  # type: ignore[assignment]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leaves the creation of the module to Python."""

    def get_code(self, name: str) -> "Optional[CodeType]":
        code = packed_code(name)
        _fix_co_filename(code, self.path)
        return code

    def get_source(self, name: str) -> "Optional[str]":
        return packed_source(name)

    def is_package(self, name: str) -> bool:
        return bool(packed_kind(name))


class _Folder:
    """Finds modules in a folder of a bundle: in the archive, and extension modules in the folder itself."""

    def __init__(self, root: str, path: str) -> None:
        self.path = path
        tree, _, rest = path[len(root) + 1 :].partition("/")
        self._number = FOLDERS.index(tree)
        self._package = rest.replace("/", ".")
        self._files = FileFinder(path, (ExtensionFileLoader, extension_suffixes()), (SourceFileLoader, [".py"]))
        self.invalidate_caches = self._files.invalidate_caches

    def find_spec(self, name: str, target: "Any" = None) -> "Optional[ModuleSpec]":
        package, _, last = name.rpartition(".")
        if package != self._package or packed_folder(name) != self._number:
            return self._files.find_spec(name, target)
        place = f"{self.path}/{last}"
        path = place + ("/__init__.py" if packed_kind(name) else ".py")
        spec = ModuleSpec(name, _FileLoader(name, path), origin=path)
        spec.has_location = True
        if packed_kind(name):
            spec.submodule_search_locations = [place]
        return spec

    def iter_modules(self, prefix: str = "") -> "Iterator[Tuple[str, bool]]":
        """Yields the names and kinds of the modules in the folder, for pkgutil."""
        found = {}
        start = self._package + "." if self._package else ""
        for name in packed_names():
            if name.startswith(start) and "." not in name[len(start) :] and packed_folder(name) == self._number:
                found[name[len(start) :]] = bool(packed_kind(name))
        for file in os.listdir(self.path) if os.path.isdir(self.path) else ():
            stem, dot, _ = file.partition(".")
            if dot and any(file == stem + suffix for suffix in extension_suffixes()):
                found.setdefault(stem, False)
        for name in sorted(found):
            yield prefix + name, found[name]


def _add_bundle(root: str) -> None:
    """Makes Python find the modules of a bundle whose files are in the folder root."""

    def hook(path: str) -> _Folder:
        # runpy asks for the script of a spawned process: a file is no folder.
        if not path.startswith((root + "/app", root + "/lib")) or os.path.isfile(path):
            raise ImportError
        return _Folder(root, path)

    sys.path_hooks.insert(0, hook)  # type: ignore[arg-type]
    sys.path_importer_cache.clear()
    if packed_folder("encodings"):
        sys.modules["encodings"].__path__ = [root + "/lib/encodings"]


class _Hidden:
    """Finds the packages in an interpreter that does not serve (core_run_python)."""

    @staticmethod
    def find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "Optional[ModuleSpec]":
        if name == "_fapws":
            raise ModuleNotFoundError("No module named '_fapws'", name=name)
        return _spec(name)


def _spec(name: str) -> "Optional[ModuleSpec]":
    package = packed_kind(name) if name.startswith("fapws") and packed_folder(name) == 0 else None
    if package is None:
        return None
    return ModuleSpec(name, _Loader, origin=_file_name(name, package), is_package=package)  # type: ignore[arg-type]


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


def install(archived: bool, loop: "Optional[str]", bundle: "Optional[str]") -> None:
    """Installs the finder, which is the first of sys.meta_path.

    archived -- whether the packages are in the archive, and not in a folder
    loop     -- type of asyncio's event loop: "auto", "asyncio" or "uvloop"; None in an interpreter that does not serve
    bundle   -- folder with the files of the bundle, or None
    """
    if bundle:
        _add_bundle(bundle)
    if packed_folder("site") == 0:
        _add_library(bool(bundle))
    if loop is None:
        sys.meta_path.insert(0, _Hidden)  # type: ignore[arg-type]
        del sys.modules["_fapws"]
        return
    main = get_ident(), get_native_id(), getpid()
    folder = "" if archived else sys.modules["fapws"].__path__[0].rpartition("/")[0]

    class Finder:
        @staticmethod
        def find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "Optional[ModuleSpec]":
            if name.startswith("fapws"):
                if not archived:
                    return PathFinder.find_spec(name, [folder], target) if name in _PACKAGES else None
                spec = _spec(name)
                if spec:
                    return spec
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
