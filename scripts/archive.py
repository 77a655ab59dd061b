"""Writes the archive that is linked into the executable: archive.py FILE FOLDER PACKAGES [LIBRARY]

It has the packages of FOLDER, whose names are separated by commas, and Python's standard library if LIBRARY is its
folder. The layout is in contrib/fapws/_layout.py. The code is for the Python that runs this script. The sources of the
packages, which tracebacks show, are compressed, without comments and docstrings, but with all lines. The archive has no
sources of the library.
"""

import __future__
import ast
import io
import marshal
import os
import runpy
import sys
import tokenize
import zlib

# The server never runs these modules.
SKIPPED = {"fapws.__main__"}

# Modules of the standard library that are for other systems or for developers, that need an extension module which is not
# there, or that replace an extension module which is.
SKIPPED_OF_LIBRARY = {"__phello__", "_aix_support", "_bootsubprocess", "_osx_support", "_pydecimal", "_pyio", "aifc",
                      "antigravity", "asyncio.proactor_events", "asyncio.windows_events", "asyncio.windows_utils",
                      "compileall", "ctypes.wintypes", "curses", "distutils", "encodings.mbcs", "encodings.oem", "ensurepip",
                      "idlelib", "lib2to3", "macholib", "modulefinder", "msilib", "multiprocessing.popen_spawn_win32",
                      "nturl2path", "pickletools", "pyclbr", "pydoc_data", "rlcompleter", "sunau", "tabnanny", "test",
                      "tests", "this", "tkinter", "trace", "turtle", "turtledemo", "venv", "zipapp"}

# Each start of the server needs these modules of package fapws, which are not compressed.
OFTEN = {"fapws", "fapws._entries", "fapws._file", "fapws._finder", "fapws._framework", "fapws._kinds", "fapws._load"}


def modules(folder, skipped):
    """Yields the name, the path below folder, and whether it is a package, of each module."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in skipped and name.isidentifier())
        for file in files:
            stem, extension = os.path.splitext(file)
            path = os.path.relpath(os.path.join(here, file), folder)
            is_package = stem == "__init__"
            name = os.path.splitext(path)[0].replace(os.sep, ".")
            name = name.rpartition(".")[0] if is_package else name
            if extension == ".py" and name not in skipped:
                yield name, path, is_package


def file_name(name, is_package):
    """Returns the file name in the code of a module, which is not the path of a file: Python would otherwise search for
    the last part of the path."""
    top, dot, rest = (name + ".__init__" * is_package).partition(".")
    return "<%s>%s%s" % (top, dot, rest)


def bare(source):
    """Returns source with the same statements in the same lines, but without comments and docstrings."""
    text = source.decode()
    lines = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip() + "\n"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            row, end = first.lineno, first.end_lineno
            lines[row - 1 : end] = [" " * first.col_offset + "\"\"\n"] + ["\n"] * (end - row)
    return "".join(lines).encode()


class Stripped(ast.NodeTransformer):
    """Removes what only type checkers read: annotations of functions, and imports for them. __future__ is not imported at
    run time: of_package compiles with the flag of "annotations"."""

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ImportFrom(self, node):
        return ast.copy_location(ast.Pass(), node) if node.module == "__future__" else node

    def visit_If(self, node):
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse or ast.copy_location(ast.Pass(), node)
        return node


def read(path):
    with open(path, "rb") as file:
        return file.read()


def of_package(folder, name, path, is_package):
    """Returns the code of a module, in the form of module marshal, and its source."""
    source = bare(read(os.path.join(folder, path)))
    tree = Stripped().visit(ast.parse(source))
    flags = __future__.annotations.compiler_flag if b"from __future__ import annotations" in source else 0
    compiled = compile(tree, file_name(name, is_package), "exec", flags, dont_inherit=True, optimize=2)
    return marshal.dumps(compiled), source


def of_library(folder, name, path):
    """Returns the code of a module of the library. Its file name is that of Python's own frozen modules."""
    source = read(os.path.join(folder, path))
    return marshal.dumps(compile(source, "<frozen %s>" % name, "exec", dont_inherit=True, optimize=2))


def module(layout, name, is_package, code, source):
    size = 0 if name in layout["FIRST"] | OFTEN else len(code)
    return layout["Module"](name, int(is_package), zlib.compress(code, 9) if size else code, size, source)


def main(target, folder, packages, library=None):
    layout = runpy.run_path(os.path.join(folder, "fapws", "_layout.py"))
    found, packages = [], packages.split(",")
    for name, path, is_package in modules(folder, SKIPPED | {"__pycache__"}):
        if name.partition(".")[0] in packages:
            code, source = of_package(folder, name, path, is_package)
            found.append(module(layout, name, is_package, code, zlib.compress(source, 9)))
    if library:
        for name, path, is_package in modules(library, SKIPPED_OF_LIBRARY | {"__pycache__"}):
            found.append(module(layout, name, is_package, of_library(library, name, path), b""))
    with open(target, "wb") as file:
        file.write(layout["pack"](found))


if __name__ == "__main__":
    main(*sys.argv[1:])
