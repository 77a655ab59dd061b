"""Writes the archive of package fapws that is linked into the executable: archive.py FILE FOLDER PACKAGE...

The layout is in pybridge/core_archive.c. The code is for the Python that runs this script. The sources, which tracebacks
show, are compressed together, without comments and docstrings, but with all lines.
"""

import ast
import importlib.util
import io
import marshal
import os
import struct
import sys
import tokenize
import zlib

# The server never runs these modules.
SKIPPED = {"fapws.__main__"}


def modules(folder, packages):
    """Yields the name, the path below folder, and whether it is a package, of each module."""
    for package in packages:
        for here, folders, files in os.walk(os.path.join(folder, package)):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for file in files:
                stem, extension = os.path.splitext(file)
                path = os.path.relpath(os.path.join(here, file), folder)
                is_package = stem == "__init__"
                name = os.path.splitext(path)[0].replace(os.sep, ".")
                name = name.rpartition(".")[0] if is_package else name
                if extension == ".py" and name not in SKIPPED:
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
    """Removes what only type checkers read: annotations of functions, and imports for them."""

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node):
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse or ast.copy_location(ast.Pass(), node)
        return node


def main(target, folder, packages):
    names, code, sources, entries = b"", b"", b"", []
    found = sorted(modules(folder, packages), key=lambda module: module[0].encode())
    for name, path, is_package in found:
        with open(os.path.join(folder, path), "rb") as file:
            source = bare(file.read())
        tree = Stripped().visit(ast.parse(source))
        compiled = compile(tree, file_name(name, is_package), "exec", dont_inherit=True, optimize=2)
        packed = marshal.dumps(compiled)
        entries.append((len(names), len(code), len(packed), len(sources), len(source), is_package))
        names += name.encode() + b"\0"
        code += packed
        sources += source
    sources = zlib.compress(sources, 9)
    begin = 8 + 4 * 4 + len(entries) * 6 * 4  # of the names
    parts = [struct.pack("<8s4sIII", b"fapws 1\0", importlib.util.MAGIC_NUMBER, len(entries),
                         begin + len(names) + len(code), len(sources))]
    for name, at, size, source, source_size, is_package in entries:
        parts.append(struct.pack("<6I", begin + name, begin + len(names) + at, size, source, source_size, is_package))
    with open(target, "wb") as file:
        file.write(b"".join([*parts, names, code, sources]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
