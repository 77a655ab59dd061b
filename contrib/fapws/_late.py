"""Finds the imports that an application does only when its handlers run, in the text of its modules.

fapws._apart imports this module after the applications have been loaded.
"""
from __future__ import annotations

import ast
import re

from fapws._apart import clash, find, owned
from fapws._load import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Set, Tuple

    from fapws._apart import Group, Place

__all__ = ["conflicts"]

# Also matches lines of docstrings. A match decides only which files are read; a conflict needs a match of the parser.
_IMPORT = re.compile(
    r"""(?:^|[:;])[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import\b[ \t]*(\([^)]*\)|[^#;\n]*)|import[ \t]+([^#;\n]*))
    |\b(?:import_module|__import__)\(\s*['"]([.\w]+)['"]""",
    re.MULTILINE | re.VERBOSE,
)
_NAME = re.compile(r"[.\w]+")


def conflicts(groups: List[Group], names: Set[str]) -> Iterator[str]:
    """Yields an error for each module of which two groups use different files. names are the names of modules, without
    packages, that may be in the folders of applications."""
    contested = {name for name in names if len({_identity(group, name) for group in groups} - {""}) > 1}
    if not contested:
        return
    users: Dict[str, Tuple[Group, Place]] = {}
    for group in groups:
        for module, (file, importer) in sorted(_uses(group, contested).items()):
            other, taken = users.setdefault(module, (group, file))
            if taken != file:
                yield clash(
                    group.names[0], f"its module {module} ({'/'.join(file)}{importer and f', which {importer} imports'})",
                    f"{'/'.join(taken)}, which {other.names[0]} uses",
                )


def _identity(group: Group, name: str) -> str:
    """Returns a text that tells which file or namespace package the group finds, or "" if it finds none."""
    path = group.path()
    for _, spec in find(path, name):
        return "/".join(place(spec.origin or ""))
    return str(path) if any(_is_folder(folder, name) for folder in path) else ""


def _is_folder(folder: str, name: str) -> bool:
    import os

    return os.path.isdir(os.path.join(folder, name))


def _uses(group: Group, contested: Set[str]) -> Dict[str, Tuple[Place, str]]:
    """Returns the file of each contested module that the group uses, and the file that imports it; "" if the module is
    loaded."""
    uses = {module: (file, "") for module, file in group.uses.items() if module.partition(".")[0] in contested}
    path, waiting, seen = group.path(), list(group.sources), set()
    while waiting:
        name, file, package = waiting.pop()
        if file in seen or not file.endswith(".py"):
            continue
        seen.add(file)
        text = _text(file)
        parent = name if package else name.rpartition(".")[0]
        certain: List[str] = []
        for imported in _matches(text, parent):
            if imported.partition(".")[0] in contested and not certain:
                certain = list(_imports(text, parent))
            for i, (module, spec) in enumerate(find(path, imported)):
                origin = spec.origin or ""
                if i == 0 and imported in certain:
                    uses.setdefault(module, (place(origin), file))
                if owned(module, origin, bool(spec.submodule_search_locations)):
                    waiting.append((module, origin, bool(spec.submodule_search_locations)))
    return uses


def _text(file: str) -> str:
    from tokenize import open as open_source

    try:
        with open_source(file) as source:
            return source.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""


def _matches(text: str, package: str) -> Iterator[str]:
    for source, names, modules, literal in _IMPORT.findall(text):
        if source:
            yield from _each(source, _NAME.findall(names), package)
        for name in _NAME.findall(modules) + [literal] * bool(literal):
            yield from _each(name, [], package)


def _imports(text: str, package: str) -> Iterator[str]:
    """Yields the names of imported modules, without those of blocks that a server does not execute: for type checkers,
    and for the start as a script."""
    try:
        waiting: List[ast.AST] = [ast.parse(text)]
    except (SyntaxError, ValueError, RecursionError):
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            yield from _each("." * node.level + (node.module or ""), [alias.name for alias in node.names], package)
        elif isinstance(node, ast.Call) and _called(node.func) in ("import_module", "__import__") and node.args:
            literal = getattr(node.args[0], "value", None)
            if isinstance(literal, str):
                yield from _each(literal, [], package)
        if isinstance(node, ast.If) and _is_never_true(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _called(function: ast.AST) -> str:
    return getattr(function, "attr", "") or getattr(function, "id", "")


def _is_never_true(test: ast.AST) -> bool:
    if isinstance(test, ast.Compare):
        return getattr(test.left, "id", "") == "__name__"
    return _called(test) == "TYPE_CHECKING"


def _each(source: str, names: List[str], package: str) -> Iterator[str]:
    """Yields the absolute names of the module source, which has a dot at its begin if it is relative, and of its
    submodules with these names."""
    module = source.lstrip(".")
    level = len(source) - len(module)
    if level:
        parents = package.split(".")
        module = ".".join(parents[: len(parents) - level + 1] + [module] * bool(module))
    if module:
        yield module
        for name in names:
            yield f"{module}.{name}"
