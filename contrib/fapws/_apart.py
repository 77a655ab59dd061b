"""Keeps the modules of several applications apart.

All applications of a server share an interpreter, which has one module of each name. The executable imports this module
if there are several applications. From then on, each application finds the modules that it would find alone: those in
its own folders, and those that every application finds. If two applications need different modules of the same name,
the server refuses to start, because one of them would otherwise run the code of the other one.
"""
from __future__ import annotations

import os
import sys
from _thread import get_ident
from importlib.machinery import PathFinder
from pkgutil import get_importer

from fapws import _django, _load
from fapws._load import folders_of, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

    Place = Tuple[str, str]
    Source = Tuple[str, str, bool]  # name and file of a module, and whether it is a package

__all__ = ["Group", "begin", "check", "clash", "conflict", "enter", "find", "late", "leave", "owned"]

WAY_OUT = "give each application a process of its own, [application.NAME] (fapws help applications)"


class Conflict(ImportError):
    """Raised by an import that would give an application a module of a different application."""


class Group:
    """Applications that search the same folders for their own modules."""

    def __init__(self, homes: Set[str]) -> None:
        self.homes = homes
        self.names: List[str] = []  # of the applications
        self.uses: Dict[str, Place] = {}  # the file of each module that the applications use
        self.fine: Set[str] = set()  # names whose modules are loaded, from the files that this group finds
        self.sources: Set[Source] = set()  # modules that belong to the applications

    def path(self) -> List[str]:
        """Returns the folders of sys.path that the applications would search alone. Folders of the group precede those
        of other groups."""
        mine = [folder for folder in sys.path if self in _owners.get(_real(folder), ())]
        path: List[str] = []
        for folder in sys.path:
            owners = _owners.get(_real(folder))
            if owners and self not in owners:
                if _real(folder) not in _public:
                    continue
                path += mine
            path.append(folder)
        return path


_groups: List[Group] = []
_applications: List[Tuple[str, Group]] = []  # name and group
_main_modules: List[Tuple[str, str]] = []  # script and module of each application; one of them is ""
_owners: Dict[str, Set[Group]] = {}  # folder -> groups whose modules are there
_public: Set[str] = set()  # folders that all applications search
_watched: Set[str] = set()  # names of everything in the folders of the groups
_known: Set[str] = set()  # modules that were loaded before the applications
_conflicts: List[str] = []
_real_paths: Dict[str, str] = {}
_groups_of_files: Dict[Tuple[str, str], Optional[Group]] = {}
_loading: Optional[Tuple[str, Group]] = None  # the application that the main thread loads
_main = get_ident()
_modules_before: Set[str] = set()  # modules, and folders of sys.path, before the application was loaded
_folders_before: Set[str] = set()


def begin(applications: Sequence[Tuple[str, str, str, str]]) -> None:
    """Prepares for loading the applications. Each one is a tuple (name, script, module, folder), in which script,
    module and folder are those of fapws._load.load."""
    _known.update(sys.modules)
    _public.update(map(_real, sys.path))
    for name, script, module, folder in applications:
        homes = _homes(script, module, folder or os.getcwd())
        group = next((group for group in _groups if group.homes == homes), None)
        if group is None:
            group = Group(homes)
            _groups.append(group)
        group.names.append(name)
        if script:
            group.sources.add(("__main__", script, False))
        _applications.append((name, group))
        _main_modules.append((script, module))
    _load.apart = sys.modules[__name__]
    if len(_groups) > 1:
        from _fapws import watch_imports

        for group in _groups:
            for folder in group.homes:
                _own(folder, group)
        sys.meta_path.insert(sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0, _Finder)
        watch_imports(_watched, check)


def enter(number: int) -> None:
    """Must be called on the main thread before the application with this number is loaded."""
    global _loading, _modules_before, _folders_before
    _modules_before, _folders_before = set(sys.modules), set(map(_real, sys.path))
    _loading = _applications[number]
    _django.hide()


def leave(number: int) -> str:
    """Must be called after the application with this number was loaded. Returns the error to report, or ""."""
    global _loading
    name, group = _applications[number]
    for folder in set(map(_real, sys.path)) - _folders_before - group.homes:
        # The application has added a folder to sys.path, which all applications search.
        _public.add(folder)
        if len(_groups) > 1 and not _has_packages(folder):
            group.homes.add(folder)
            _own(folder, group)
    for imported, loaded in list(sys.modules.items()):
        file = getattr(loaded, "__file__", None)
        if isinstance(file, str) and imported != "__main__":
            source = imported, file, hasattr(loaded, "__path__")
            owners = owned(*source)
            if group in owners and (len(owners) == 1 or imported not in _modules_before):
                group.sources.add(source)
    script, module = _main_modules[number]
    script = script or getattr(sys.modules.get(module), "__file__", None) or ""
    own, other = _django.claim(name, script, group.path())
    _loading = None
    if own and not _conflicts:
        _conflicts.append(clash(name, own, other))
    return conflict()


def late() -> str:
    """Must be called after all applications were loaded. Returns the error to report, or ""."""
    if len(_groups) < 2:
        return ""
    from fapws._late import conflicts

    return next(conflicts(_groups, _watched - _known), "")


def conflict(error: Optional[BaseException] = None) -> str:
    """Returns the first conflict, or "". error is the exception of an application that cannot be loaded."""
    own, other = _django.refused(error)
    if own and _loading:
        _conflicts.append(clash(_loading[0], own, other))
    return _conflicts[0] if _conflicts else ""


def clash(name: str, what: str, other: str) -> str:
    """Returns the error for the application name. what is its own module or setting, and other is that of a different
    application."""
    return f"{name}: {what} conflicts with {other}: one interpreter can load only one of them; {WAY_OUT}"


def owned(module: str, file: str, package: bool) -> Set[Group]:
    """Returns the groups that own the folder in which Python has found the module."""
    return _owners.get(_root(module, file, package), set())


def find(path: List[str], name: str) -> Iterator[Tuple[str, ModuleSpec]]:
    """Yields the module with the name, after its packages, each with its name. Namespace packages are
    omitted, because they have no file."""
    parts = name.split(".")
    for i in range(len(parts)):
        prefix = ".".join(parts[: i + 1])
        portions: List[str] = []
        for folder in path:
            search = getattr(get_importer(folder), "find_spec", None)
            spec = search and search(prefix)
            if spec is not None and spec.loader is not None:
                yield prefix, spec
                portions = list(spec.submodule_search_locations or ())
                break
            portions += spec and spec.submodule_search_locations or ()
        path = portions


def check(name: str, space: Any, fromlist: Any, level: int) -> None:
    """Raises an exception if an import would give an application a module that it would not find alone.

    The executable calls this function before each import of a name in _watched. space are the globals of the importing
    module, or the name of its package. The other parameters are those of __import__. Any thread may call it.
    """
    group = _group(space)
    if group is None:
        return
    if level:
        package = space if isinstance(space, str) else space.get("__package__") or space["__name__"]
        name = ".".join([package.rsplit(".", level - 1)[0]] + [name] * bool(name))
    direct = isinstance(space, dict) and _group_of(space) is group
    _judge(group, name, direct)
    if fromlist and name not in group.fine:  # perhaps modules in a namespace package
        for part in fromlist:
            _judge(group, f"{name}.{part}", direct)


def _judge(group: Group, name: str, direct: bool) -> None:
    """direct: the import is in a module of the group, and not in a library that such a module has called."""
    if name in group.fine:
        return
    prefix, spec = next(find(group.path(), name), ("", None))
    if spec is None:
        top = name.partition(".")[0]
        if top in sys.modules and _is_hidden(group, top, sys.modules[top]):
            raise _not_found(name)
        return
    module = sys.modules.get(prefix)
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return
    if place(file) == place(spec.origin or ""):
        group.uses[prefix] = place(file)
        group.fine.add(name)
        return
    owners = owned(prefix, file, hasattr(module, "__path__"))
    if group not in owners and (owners or direct and prefix not in _known):
        error = clash(
            _loading[0] if _loading and _loading[1] is group else group.names[0],
            f"its module {prefix} ({spec.origin})", f"{file}, which {_users(prefix, file, owners)} uses",
        )
        _conflicts.append(error)
        raise Conflict(error, name=name)


class _Finder:
    """Finds the modules in folders of applications. If it did not, an application could find a module in a folder of a
    different application, which sys.path also contains."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        if name.partition(".")[0] not in _watched:
            return None
        if path is not None and getattr(sys.modules.get(name.rpartition(".")[0]), "__file__", None):
            return None  # The folder of the package contains the module.
        group = _group(None)
        if group is None:
            return None
        prefix, spec = next(find(group.path(), name), ("", None))
        if spec is not None:
            if prefix != name:
                return None
            group.uses[name] = place(spec.origin or "")
            return spec
        other = PathFinder.find_spec(name, path)
        if other and other.origin and _is_hidden(group, name, other):
            raise _not_found(name)
        return None


def _not_found(name: str) -> ModuleNotFoundError:
    # The same text as Python's. Many applications import optional modules, and ignore this exception.
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


def _is_hidden(group: Group, name: str, found: Any) -> bool:
    """Whether only other groups find a module, or the portions of a namespace package. found is the module or its
    spec."""
    file = getattr(found, "__file__", None) or getattr(found, "origin", None)
    portions = getattr(found, "__path__", None) or getattr(found, "submodule_search_locations", None)
    if isinstance(file, str):
        roots = [_root(name, file, portions is not None)]
    else:
        roots = [_root(name, os.path.join(portion, ""), True) for portion in portions or ()]
    hidden = [group not in _owners[root] and root not in _public for root in roots if root in _owners]
    return len(roots) > 0 and len(hidden) == len(roots) and all(hidden)


def _users(module: str, file: str, owners: Set[Group]) -> str:
    groups = [group for group in _groups if group.uses.get(module) == place(file)] or owners
    return ", ".join(group.names[0] for group in groups) or "a different application"


def _group(space: Any) -> Optional[Group]:
    """Returns the group whose code is executed. space are the globals of the importing module, if they are known."""
    if _loading is not None and get_ident() == _main:
        return _loading[1]
    group = _group_of(space) if isinstance(space, dict) else None
    frame = sys._getframe(1)
    while group is None and frame is not None:
        group = _group_of(frame.f_globals)
        frame = frame.f_back  # type: ignore[assignment]
    return group


def _group_of(space: Dict[str, Any]) -> Optional[Group]:
    """Returns the group to which a module belongs, or None for libraries, and for folders that several groups share."""
    name, file = space.get("__name__"), space.get("__file__")
    if not isinstance(name, str) or not isinstance(file, str):
        return None
    if (name, file) not in _groups_of_files:
        owners = owned(name, file, "__path__" in space)
        _groups_of_files[name, file] = next(iter(owners)) if len(owners) == 1 else None
    return _groups_of_files[name, file]


def _homes(script: str, module: str, folder: str) -> Set[str]:
    """Returns the folders in which an application finds its own modules first."""
    if script:
        return {_real(os.path.dirname(script)), *folders_of(script)[1:]}
    homes = {_real(folder)}
    name, spec = next(find([folder, *sys.path], module), ("", None))
    if spec is not None:
        root = _root(name, spec.origin or "", bool(spec.submodule_search_locations))
        if not _has_packages(root):
            homes.add(root)
    return homes


def _has_packages(folder: str) -> bool:
    """Whether the folder contains installed packages, which are not the own modules of an application."""
    return os.path.basename(folder) in ("site-packages", "dist-packages")


def _own(folder: str, group: Group) -> None:
    _owners.setdefault(folder, set()).add(group)
    _groups_of_files.clear()
    try:
        _watched.update(entry.partition(".")[0] for entry in os.listdir(folder))
    except OSError:
        pass


def _root(name: str, file: str, package: bool) -> str:
    """Returns the folder in which Python has found a module or the package of a module, an entry of sys.path."""
    folder = os.path.dirname(file)
    for _ in range(name.count(".") + package):
        folder = os.path.dirname(folder)
    return _real(folder)


def _real(folder: str) -> str:
    if folder not in _real_paths:
        _real_paths[folder] = os.path.realpath(folder)
    return _real_paths[folder]
