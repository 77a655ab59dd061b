"""Writes what ``fapws bundle`` appends to the executable: the application, its packages and Python's standard library.

Modules become bytecode in an archive (_layout.py). All other files, and extension modules, are compressed, and a bundle
unpacks them. cmd/fapws/bundle reads the result.
"""
from __future__ import annotations

import dis
import fnmatch
import glob
import hashlib
import importlib.metadata
import importlib.util
import json
import marshal
import os
import re
import shutil
import struct
import sys
import sysconfig
import zlib
from importlib.machinery import PathFinder
from types import CodeType

from _fapws import packed_code, packed_folder, packed_names
from fapws._finder import FOLDERS
from fapws._layout import FIRST, Module, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple

__all__ = ["main"]

# The parts of the standard library that only other parts import. An application gets them if itself or a package does.
SELDOM = set("doctest pdb pydoc unittest test tkinter idlelib lib2to3 ensurepip distutils turtledemo turtle pydoc_data "
             "curses venv antigravity this __phello__ _tkinter _curses _curses_panel readline".split())

# The parts that need files of data, and that no server needs.
DEVELOPMENT = {"test", "idlelib", "lib2to3", "turtledemo", "ensurepip", "venv"}

# The parts that Python or packages import by names that the source does not show.
ALWAYS = ("encodings codecs idna stringprep unicodedata _strptime zoneinfo locale traceback linecache site sysconfig "
          "importlib concurrent asyncio multiprocessing email logging json http urllib collections runpy pkgutil "
          "_posixshmem _multiprocessing _contextvars hashlib ssl zlib").split()

NEVER = "_distutils_hack sitecustomize usercustomize fapws fapws4 __main__ _fapws".split()

SKIPPED_FOLDERS = {"__pycache__", "node_modules", ".git", ".hg", ".svn", ".tox", ".mypy_cache", ".pytest_cache",
                   ".ruff_cache", ".idea", ".vscode"}

# Files of the application that a bundle must not give away, or that change while it runs.
PRIVATE = (".env .env.* .ht* htpasswd users *.key *.pem *.p12 *.pfx *.jks id_rsa* id_ed25519* *.kdbx credentials.json "
           "*.sqlite *.sqlite3 *.sqlite3-* *.db *.db-* *.log *.log.* *.lock *.pid *.sock secret secrets secret.* "
           "secrets.* *.secret instance/*").split()

# Files that are part of an application whatever their name, such as secrets.py.
PARTS = (".py", ".html", ".css", ".js")

MAX_FILES, MAX_SIZE = 20000, 512 << 20  # of the application; a folder with more is not that of an application
OTHER_LIBC = {"glibc": b"\0libc.musl-", "musl": b"\0libc.so.6\0"}
INSTALLED = "/site-packages", "/dist-packages"  # in the paths of packages that pip or a distribution has installed
OF_PIP = "RECORD", "INSTALLER", "REQUESTED", "direct_url.json"  # files in the metadata of a package
ALIGNMENT = 1 << 16  # of the archive, for processors with large pages
TRAILER, MAGIC = "<8sII8Q32sQQ", b"fapwsbdl"  # the end of a bundle


class Refused(Exception):
    """Ends the command with a line for the user."""


class Collector:
    """The modules and files of a bundle."""

    def __init__(self, options: Dict[str, Any]) -> None:
        self.options = options
        self.modules: Dict[str, Module] = {}
        self.files: Dict[str, str] = {}  # name in the bundle: path
        self.imported: Set[str] = set()  # names in import statements, as far as the source shows them
        self.fresh: List[str] = []  # those that add_library has not seen
        self.left_out: Dict[str, str] = {}  # name: reason
        self.used: Set[str] = set()  # the patterns that have matched
        root = os.path.realpath(options["root"])
        self.written = sorted(os.path.relpath(os.path.realpath(path), root) for path in options["written"])
        self.packages: Dict[str, Dict[str, str]] = {}
        self.languages: Set[str] = set()  # languages of packages; empty means all languages

    def add_module(self, name: str, folder: str, path: str, is_package: bool) -> bool:
        """Adds a module with its source file. Returns False if the file is not valid Python."""
        if name in self.modules or (packed_folder(name) == 0 and name.partition(".")[0] in ("fapws", "fapws4")):
            return True
        with open(path, "rb") as file:
            source = file.read()
        place = name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
        of_library = folder == "lib" and name.partition(".")[0] in sys.stdlib_module_names
        try:
            code = compile(source, folder + "/" + place, "exec", dont_inherit=True, optimize=2 if of_library else -1)
        except (SyntaxError, ValueError, RecursionError):
            return False
        self.note(imports(code, name, is_package))
        self.put(name, folder, is_package, marshal.dumps(code),
                 b"" if of_library or self.options["bare"] else decoded(source))
        return True

    def note(self, names: Iterable[str]) -> None:
        fresh = set(names) - self.imported
        self.imported |= fresh
        self.fresh += sorted(fresh)

    def put(self, name: str, folder: str, is_package: bool, code: bytes, source: bytes) -> None:
        kind, size = 2 * FOLDERS.index(folder) + is_package, 0
        if name not in FIRST:
            size, code = len(code), zlib.compress(code, 9)
        self.modules[name] = Module(name, kind, code, size, zlib.compress(source, 9) if source else b"")

    def add_tree(self, folder: str, base: str, top: str, private: bool = False) -> None:
        """Adds the modules and files of base, or of the folder or file top in it."""
        packages: Set[str] = set()
        size = 0
        for path in sorted(walk(os.path.join(base, top), private)):
            name = os.path.relpath(path, base)
            if self.skips(name, path if private else ""):
                continue
            parts = os.path.splitext(name)[0].split(os.sep)
            is_package = parts[-1] == "__init__" and len(parts) > 1
            module = ".".join(parts[:-1] if is_package else parts)
            dotted = any("." in part or not part for part in parts)
            if name.endswith(".py") and not dotted and self.add_module(module, folder, path, is_package):
                packages.update(module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1))
                continue
            if parts[-1] in OF_PIP and ".dist-info" in name:
                continue
            if name.endswith((".pyc", ".pyi", ".pyx", ".pxd", ".c", ".h", ".po")) and not private:
                continue
            self.files[f"{folder}/{name}"] = path
            size += os.path.getsize(path)
            if private and (len(self.files) > MAX_FILES or size > MAX_SIZE):
                raise Refused(f"{base} has too many files for an application: move the application to a folder of its"
                              " own, or name files to leave out with --exclude")
        for package in sorted(packages - set(self.modules)):  # namespace packages
            self.put(package, folder, True, marshal.dumps(compile("", package, "exec", dont_inherit=True)), b"")

    def skips(self, name: str, private: str = "") -> bool:
        """Whether a file is left out, by options and by its kind. private is the path of a file of the application."""
        def matches(patterns: Iterable[str]) -> bool:
            found = {one for one in patterns if fnmatch.fnmatchcase(name, one)
                     or fnmatch.fnmatchcase(os.path.basename(name), one)
                     or f"{name}/".startswith((one.rstrip("/") + "/", one.replace(".", "/") + "/"))
                     or name == one.replace(".", "/") + ".py"}
            self.used |= found
            return bool(found)

        if private and matches(self.options["include"]):
            return False
        if matches(self.options["exclude"]):
            return True
        for one in self.written if private else ():
            if f"{name}/".startswith(one + "/"):
                self.left_out[one] = "the server writes there; --include takes it"
                return True
        base = os.path.basename(name)
        if private and not name.endswith(PARTS) and any(
            fnmatch.fnmatchcase(name, one) or fnmatch.fnmatchcase(base, one) for one in PRIVATE
        ):
            self.left_out[name] = "--include takes it"
            return True
        if private and is_bundle(private):
            self.left_out[name] = "it is a bundle; --include takes it"
            return True
        language = re.search(r"(?:^|/)locale/([^/]+)/LC_MESSAGES/", name)
        return bool(language and self.languages and not private and language[1].lower() not in self.languages)

    def add_library(self, names: Iterable[str], folder: str) -> None:
        """Adds modules of the standard library in folder, and those that they import."""
        extensions = os.path.join(folder, "lib-dynload")
        if not os.path.isdir(extensions):
            extensions = folder
        files = {one.partition(".")[0]: one for one in sorted(os.listdir(extensions)) if one.endswith(".so")}
        wanted, seen = list(names), set(self.modules)
        asked = {name.partition(".")[0] for name in wanted}
        while wanted:
            name = wanted.pop()
            top = name.partition(".")[0]
            if name in seen or top not in sys.stdlib_module_names or (top in SELDOM and top not in asked):
                continue
            seen.add(name)
            if "." in name:
                wanted.append(name.rpartition(".")[0])
            place = os.path.join(folder, *name.split("."))
            if os.path.isfile(place + "/__init__.py"):
                self.add_module(name, "lib", place + "/__init__.py", True)
                if top in ALWAYS or self.options["whole"]:
                    wanted += [f"{name}.{one}" for one in children(place) if one not in ("test", "tests", "__main__")]
            elif os.path.isfile(place + ".py"):
                self.add_module(name, "lib", place + ".py", False)
            elif name in files:
                self.files["lib/" + files[name]] = os.path.join(extensions, files[name])
            wanted += self.fresh
            self.fresh = []

    def has_module(self, name: str) -> bool:
        """Whether a package that was added, or the standard library, has a module."""
        if name.partition(".")[0] in sys.stdlib_module_names:
            try:
                return importlib.util.find_spec(name) is not None
            except ImportError:
                return False
        path = f"lib/{name.replace('.', '/')}."
        return name in self.modules or any(one.startswith(path) and one.endswith(".so") for one in self.files)

    def add_requirements(self, base: str, file: str) -> None:
        """Adds the packages that pip has installed into the folder base because of a file of requirements."""
        for name in sorted(os.listdir(base)):
            if name != "bin" and re.split("[.-]", name)[0] not in NEVER and not self.skips(name):
                self.add_tree("lib", base, name)
        for dist in importlib.metadata.distributions(path=[base]):
            self.add_metadata(dist)
        for name in names_loaded():
            path = getattr(sys.modules[name], "__file__", None) or ""
            if "." not in name and name not in self.modules and any(one in path for one in INSTALLED):
                self.left_out[name] = f"{file} does not lead to it"

    def add_packages(self, library: str) -> None:
        """Adds the packages that were loaded or that the application imports, and those that they require."""
        owners = importlib.metadata.packages_distributions()
        loaded = [name for name in names_loaded() if getattr(sys.modules[name], "__file__", None)]
        names = {name.partition(".")[0] for name in [*loaded, *self.imported]}
        wanted, seen = sorted(names), set()
        while wanted:
            top = wanted.pop()
            if top in seen or top in sys.stdlib_module_names or top in NEVER:
                continue
            seen.add(top)
            found = located(top, library)
            if not found or top in self.modules or self.skips(top, False):
                continue
            self.add_tree("lib", *found)
            for owner in owners.get(top, ()):
                wanted += self.add_distribution(importlib.metadata.distribution(owner), found[0], owners)

    def add_metadata(self, dist: Any) -> None:
        name = dist.metadata["Name"]
        self.packages[name] = {"Name": name, "Version": dist.version, "License": licence(dist.metadata)}

    def add_distribution(self, dist: Any, base: str, owners: Any) -> List[str]:
        """Adds the metadata and libraries of a distribution, and returns top-level names that belong to it."""
        name = dist.metadata["Name"]
        if name in self.packages:
            return []
        self.add_metadata(dist)
        tops = {top for top, names in owners.items() if name in names}
        for file in dist.files or ():
            first = file.parts[0]
            if first.endswith((".libs", ".dist-info")) and first not in tops and file.name not in OF_PIP:
                path = str(dist.locate_file(file))
                if os.path.isfile(path):
                    self.files["lib/" + "/".join(file.parts)] = path
        for line in dist.requires or ():
            needed = re.match(r"[\w.-]+", line)
            if needed and "extra ==" not in line:
                key = normal(needed[0])
                tops.update(top for top, names in owners.items() if any(normal(one) == key for one in names))
        return sorted(tops)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(metadata: Any) -> str:
    """Returns the licence of a distribution, in a line."""
    text = metadata.get("License-Expression") or metadata.get("License") or ""
    kinds = [one.rpartition(":: ")[2] for one in metadata.get_all("Classifier") or () if one.startswith("License ::")]
    return text if text and "\n" not in text and len(text) < 60 else ", ".join(kinds) or "licence unknown"


def decoded(source: bytes) -> bytes:
    """Returns a source as UTF-8."""
    return importlib.util.decode_source(source).encode() if source else b"\n"


def imports(code: CodeType, module: str, is_package: bool) -> Iterator[str]:
    """Yields the absolute names in the import statements of a module."""
    package = module if is_package else module.rpartition(".")[0]
    for name, level, names in dis._find_imports(code):
        if level:
            parent = package.rsplit(".", level - 1)[0] if level > 1 else package
            name = f"{parent}.{name}" if name else parent
        yield name
        yield from (f"{name}.{one}" for one in names or ())
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from imports(one, module, is_package)


def names_loaded() -> List[str]:
    """Returns the names of the modules that were loaded for the application; module site has loaded those before."""
    names = list(sys.modules)
    return names[names.index("fapws._finder") :]


def children(folder: str) -> Iterator[str]:
    for name in sorted(os.listdir(folder)):
        stem, extension = os.path.splitext(name)
        if extension == ".py" or (os.path.isfile(os.path.join(folder, name, "__init__.py"))):
            yield stem


def is_bundle(path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(-min(os.path.getsize(path), struct.calcsize(TRAILER)), os.SEEK_END)
        return file.read(len(MAGIC)) == MAGIC


def walk(top: str, private: bool) -> Iterator[str]:
    """Yields the paths of the files below a folder, or the path of a file."""
    if os.path.isfile(top):
        yield top
    for here, folders, files in os.walk(top):
        tests = () if private else ("test", "tests")
        folders[:] = [one for one in folders if one not in SKIPPED_FOLDERS and one not in tests
                      and not os.path.isfile(os.path.join(here, one, "pyvenv.cfg"))]
        yield from (path for path in (os.path.join(here, one) for one in files) if os.path.isfile(path))


def located(top: str, library: str) -> Optional[Tuple[str, str]]:
    """Returns the folder of a top-level module and its file or folder there; None if it is not in a file."""
    spec = PathFinder.find_spec(top, [one for one in sys.path if one and os.path.abspath(one) != library])
    places = list(spec.submodule_search_locations or [spec.origin or ""]) if spec else [""]
    return os.path.split(os.path.abspath(places[0])) if os.path.exists(places[0]) else None


def collect(options: Dict[str, Any]) -> Collector:
    c = Collector(options)
    root = options["root"]
    library = options["library"] or sysconfig.get_path("stdlib")
    codes = options["languages"]
    if "django.conf" in sys.modules:
        settings = sys.modules["django.conf"].settings  # type: ignore[attr-defined]
        codes += [settings.LANGUAGE_CODE, *(dict(settings.LANGUAGES) if settings.is_overridden("LANGUAGES") else ())]
    for code in codes:
        name = str(code).lower().replace("-", "_")
        c.languages |= {name, name.partition("_")[0]}
    c.add_tree("app", root, "", private=True)
    for script in options["scripts"]:  # are run, and not imported
        name = "app/" + os.path.relpath(script, root)
        if name.startswith("app/.."):
            raise Refused(f"{script} is not below {root}")
        if os.path.isfile(script):
            c.files[name] = script
    if options["start"]:
        c.files["app/fapws.toml"] = options["start"]
    c.note(set(options["include"]) - c.used)  # modules
    if options["packages"]:
        c.add_requirements(options["packages"], options["requirements"])
        sys.path[:] = [one for one in sys.path if one != options["packages"] and not any(n in one for n in INSTALLED)]
    c.add_packages(library)
    for name in options["include"]:
        if name not in c.used and not c.has_module(name):
            raise Refused(f"--include {name}: no file of {root} and no module has this name")
    for name in options["exclude"]:
        if name not in c.used:
            raise Refused(f"--exclude {name}: no file of {root} and no package has this name")
    for name in packed_names():
        if packed_folder(name) == 0:
            is_package = any(one.startswith(name + ".") for one in packed_names())
            c.note(imports(packed_code(name), name, is_package))
    if not options["complete"]:
        whole = sys.stdlib_module_names - DEVELOPMENT if options["whole"] else ()
        c.add_library({*c.imported, *names_loaded(), *ALWAYS, *whole}, library)
        for path in glob.glob(os.path.join(library, "_sysconfigdata_*.py")):
            c.add_module(os.path.basename(path)[:-3], "lib", path, False)
    for name in [one for one in c.files if one.endswith(".so") and not options["libc"]]:
        del c.files[name]
        c.left_out[name] = "a static executable loads no extension modules"
    return c


def write(c: Collector, options: Dict[str, Any]) -> int:
    """Writes the bundle, and returns its size."""
    made = f"{options['output']}.{os.getpid()}"
    try:
        with open(options["program"], "rb") as program, open(made, "w+b") as out:
            head = program.read(20)
            program.seek(0)
            shutil.copyfileobj(program, out)
            size = out.tell()
            out.write(b"\0" * (-out.tell() % ALIGNMENT))
            parts = [out.tell()]
            out.write(pack(c.modules.values()))
            parts += [out.tell() - parts[-1], out.tell()]
            files, begin = [], out.tell()
            for name in sorted(c.files):
                with open(c.files[name], "rb") as file:
                    data = file.read()
                # e_ident and e_machine of elf(5)
                if name.endswith(".so") and ((data[:6], data[18:20]) != (head[:6], head[18:20])
                                             or OTHER_LIBC.get(options["libc"], b"\0\n") in data):
                    raise Refused(f"{c.files[name]} is an extension module for another processor or C library;"
                                  f" --requirements FILE takes packages for {options['machine']}")
                mode, packed = os.stat(c.files[name]).st_mode, zlib.compress(data, 9)
                files.append({"Name": name, "Offset": out.tell() - begin, "Size": len(data), "Packed": len(packed),
                              "Executable": bool(mode & 0o100)})
                out.write(packed)
            parts += [out.tell() - begin, out.tell()]
            packages = [c.packages[name] for name in sorted(c.packages, key=normal)]
            text = json.dumps({"Name": options["name"], "Program": size, "Fapws": options["version"],
                               "Python": "%d.%d.%d" % sys.version_info[:3], "Machine": options["machine"],
                               "Modules": len(c.modules), "Packages": packages, "Files": files})
            out.write(text.encode())
            parts += [out.tell() - parts[-1], out.tell(), 0]
            length = out.tell() + struct.calcsize(TRAILER)
            out.seek(options["digits"])
            out.write(b"%020d" % length)
            out.seek(0)
            total = hashlib.file_digest(out, "sha256").digest()
            out.write(struct.pack(TRAILER, MAGIC, 1, 0, *parts, total, length, 0))
            os.fchmod(out.fileno(), 0o755)
        os.replace(made, options["output"])
    except OSError as e:
        raise Refused(f"cannot write {options['output']}: {e.strerror}") from None
    finally:
        if os.path.exists(made):
            os.remove(made)
    return length


def main(apps: Any, text: str) -> Optional[BaseException]:
    """Writes a bundle with the options text, which cmd/fapws/bundle.go has encoded as JSON."""
    options = json.loads(text)
    try:
        c = collect(options)
        length = write(c, options)
    except Refused as e:
        print("fapws: bundle:", e, file=sys.stderr)
        return SystemExit(2)
    for name in sorted(c.left_out):
        print(f"left out: {name} ({c.left_out[name]})")
    print(f"{options['output']}: {length / 1e6:.1f} MB, {len(c.modules)} modules, {len(c.files)} files,"
          f" {len(c.packages)} packages")
    return None
