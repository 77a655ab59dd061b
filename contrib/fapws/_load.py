"""Imports the object that the command line names (``app.py:obj``, ``pkg.mod``), which the server then serves.

The executable imports this module for scripts without PATHS. Mistakes of the user are returned as a line of text, and
exceptions of the user's code are returned unchanged.
"""
from __future__ import annotations

import os
import sys
from _frozen_importlib import module_from_spec  # importlib.util would import several other modules
from _frozen_importlib_external import SourceFileLoader, spec_from_file_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType, TracebackType
    from typing import Any, Dict, List, NoReturn, Optional, Tuple, Union

    Namespace = Dict[str, Any]
    Loaded = Tuple[Namespace, Any, str]

__all__ = ["apart", "folders_of", "load", "place", "renamed", "required", "theirs"]

apart: Any = None  # module fapws._apart, if there are several applications
renamed: Dict[str, str] = {}  # usual name of each script's module whose usual name was in use

_CALLED = ("application", "app")
# Usual names of functions that return an application.
_MADE_BY = ("create_app", "make_app")
_SHOWN = 12
_COROUTINE, _VARARGS = 0x280, 0x04  # inspect.CO_COROUTINE | CO_ASYNC_GENERATOR, CO_VARARGS


class _Wrong(Exception):
    """Raised if the object that the user named does not exist, or cannot be served."""


def load(
    script: str,
    module: str,
    folder: str,
    obj: str,
    interface: str,
    factory: str,
    where: str,
    dev: bool,
    main: Optional[Namespace],
) -> Union[Loaded, str, BaseException]:
    """Imports the application and finds what to serve.

    script    -- absolute path of a script to import as a module, or ""
    module    -- dotted name to import instead, or ""
    folder    -- directory that is searched for module first; "" for the current directory
    obj       -- the object to serve, "name.attribute", or a call that returns this object, "name('text', key=1)"; "":
                 PATHS, application or app
    interface -- "auto", "paths", "wsgi" or "asgi"
    factory   -- the setting that makes obj a function, whose result is served, such as "--factory"; "": obj is served
    where     -- name of the application in messages; "" for the name of its file
    dev       -- an application of Django also serves static files, as with Django's runserver
    main      -- globals of a script that was run as __main__, so that nothing must be imported; otherwise None

    Returns (globals, served, name). Here, served is a list or tuple for PATHS,
    and otherwise an application; name is its name in log lines. If the user has
    named a wrong object, returns a str. If the user's code has raised an
    exception, returns this exception, with only the user's part of its
    traceback. Must be called on Python's main thread, once for each application.
    """
    try:
        where = where or os.path.basename(script) or module
        if main is not None:
            imported: Any = sys.modules["__main__"]
        elif script:
            imported = _import_script(script)
        else:
            imported = _import_module(module, folder)
        space = vars(imported) if main is None else main
        name, served = _find(imported, space, where, obj, interface, factory)
        _judge(where, name, served, interface, factory)
        if "django.core.handlers.base" in sys.modules:
            from fapws._framework import import_views, with_static_files

            import_views()
            if dev:
                served = with_static_files(served, interface)
        return space, served, f"{_stem(script) or module}:{obj or name}"
    except _Wrong as wrong:
        return str(wrong)
    except BaseException as error:  # including SystemExit, with which the user's code ends the program
        conflict = apart and apart.conflict(error)
        if conflict:
            return str(conflict)
        error.__traceback__ = theirs(error.__traceback__)
        return error



class _Uncached(SourceFileLoader):
    """A loader that neither reads nor writes __pycache__, because the cache does not distinguish two changes of a file
    within a second."""

    def path_stats(self, path: Any) -> NoReturn:
        raise OSError


def _stem(script: str) -> str:
    return os.path.splitext(os.path.basename(script))[0].replace(".", "_")


def place(file: str) -> Tuple[str, str]:
    """Returns a value that identifies a file. Paths through different symbolic links to the same folder have the same
    value."""
    folder, name = os.path.split(file)
    return os.path.realpath(folder), name


def _put_first(*folders: str) -> None:
    if not getattr(sys.flags, "safe_path", False):  # Python 3.11 has -P and PYTHONSAFEPATH
        sys.path[:0] = folders


def folders_of(script: str) -> List[str]:
    """Returns the name of the package of the script, or "", the folder of the script, and that of the package."""
    folders = [os.path.dirname(os.path.realpath(script))]
    top, package = folders[0], ""
    while os.path.isfile(os.path.join(top, "__init__.py")) and os.path.basename(top).isidentifier():
        package = os.path.basename(top) + ("." + package if package else "")
        top = os.path.dirname(top)
    return [package, folders[0], top][: 3 if package else 2]


def _import_script(script: str) -> ModuleType:
    """Imports the file as a module with the name of the file without extension, preceded by the package if the file is
    in a package."""
    parent, *folders = folders_of(script)
    _put_first(*folders)
    name = f"{parent}.{_stem(script)}" if parent else _stem(script)
    if parent:
        __import__(parent)
    # Do not use a name that is in use: types.py must not replace Python's module types, and app.py must not replace the
    # module app of a different application.
    stem, number = name, 1
    while name in sys.modules:
        if place(getattr(sys.modules[name], "__file__", None) or "") == place(script):
            return sys.modules[name]
        name = f"{stem}_script{number if number > 1 else ''}"
        number += 1
    spec = spec_from_file_location(name, script, loader=_Uncached(name, script))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    if name != stem:
        renamed[name] = stem
    spec.loader.exec_module(module)
    if parent:
        setattr(sys.modules[parent], name.rpartition(".")[2], module)
    return sys.modules.get(name, module)  # The module's code may have replaced the module in sys.modules.


def _import_module(name: str, folder: str) -> ModuleType:
    here = folder or os.getcwd()
    own = os.path.join(here, name + ".py")
    if name in sys.modules and os.path.isfile(own):
        # The name is already used by a module of Python, or by a module of an application that was loaded earlier.
        return _import_script(own)
    if os.path.isfile(here):
        from fapws._archive import prepare, run

        _put_first(here)
        prepare(here)
        if name == "__main__":
            return run(here)
    if apart:
        apart.check(name, None, (), 0)
    top = name.partition(".")[0]
    package = os.path.join(here, top)
    known = [os.path.realpath(path) for path in getattr(sys.modules.get(top), "__path__", ())]
    if known and os.path.isfile(os.path.join(package, "__init__.py")) and os.path.realpath(package) not in known:
        raise _Wrong(
            f"{name}: the package {top} in {here} conflicts with {known[0]}: one interpreter can load only one package"
            " of each name"
        )
    if here not in sys.path[:1]:
        _put_first(here)
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if theirs(error.__traceback__) is not None or not (name + ".").startswith(missing + "."):
            raise
        others = "chdir or pythonpath" if folder else "--chdir or --pythonpath"
        raise _Wrong(_no_module(name, missing, here, others)) from None
    return sys.modules[name]


def _no_module(name: str, missing: str, here: str, others: str) -> str:
    parent, _, last = missing.rpartition(".")
    above = sys.modules.get(parent)
    if above is not None:
        folders = getattr(above, "__path__", None)
        if folders is None:
            return f"no module named {missing}: {parent} ({_file(above)}) is not a package{_meant(above, parent, last)}"
        found = f"no module named {missing} in package {parent} ({', '.join(folders)})"
        for folder in folders:
            # The user may have started fapws in the parent of the right folder, such as Django's project folder.
            if os.path.isfile(os.path.join(folder, *missing.split(".")) + ".py"):
                return f"{found}; type fapws -C {os.path.relpath(folder, here)} {name}"
        return found + _near(last, _modules(folders), parent + ".")
    folders = [folder for folder in map(os.path.abspath, sys.path) if folder != here and _has_packages(folder)]
    return (
        f"no module named {missing} in {here}{_other(missing, _modules([here]))}; also searched:"
        f" {', '.join(folders) or 'no other directory'}; name another directory with {others}"
    )


def _has_packages(folder: str) -> bool:
    """Reports whether a folder of sys.path can have modules of the user: it is none of Python's own."""
    python = os.path.dirname(os.path.abspath(os.__file__))
    return os.path.exists(folder) and folder not in (python, os.path.join(python, "lib-dynload"))


def _other(missing: str, modules: List[str]) -> str:
    """Returns a hint for a missing module: a module with a similar name, a usual name, or the only module."""
    usual = [name for name in ("app", "main", "wsgi", "asgi", "application") if name in modules]
    if not usual and len(modules) == 1:
        usual = modules
    return _near(missing, modules) or (f"; did you mean {usual[0]}.py?" if usual else "")


def _meant(module: Any, name: str, last: str) -> str:
    """Returns a hint for name.last, if name is a module: an object of it, or its file with a misspelled extension."""
    from difflib import get_close_matches

    if hasattr(module, last):
        return f"; did you mean {name}:{last}?"
    near = _near(last, _names(vars(module)), f"{name}:")
    if not near and get_close_matches(last, ["py"], cutoff=0.5) and os.path.basename(_file(module)) == f"{name}.py":
        return f"; did you mean {name}.py?"
    return near


def _modules(folders: Any) -> List[str]:
    found: List[str] = []
    for folder in folders:
        try:
            found += (os.path.splitext(entry)[0] for entry in os.listdir(folder) if entry.endswith(".py"))
        except OSError:
            pass
    return found


def _file(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "built into Python"


def theirs(tb: Optional[TracebackType]) -> Optional[TracebackType]:
    """Returns the traceback without the frames that precede the first frame of the user's code."""
    mine = theirs.__code__.co_filename.rpartition("_load")[0] + "_"
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith((mine, "<frozen importlib")):
        tb = tb.tb_next
    return tb



def _find(module: Any, space: Namespace, where: str, obj: str, interface: str, factory: str) -> Tuple[str, Any]:
    """Returns the name of the object to serve, and the object."""
    if "(" in obj:
        name, args, named = _call(where, obj)
        if factory:
            raise _Wrong(f"{where}: {obj} is a call, and {factory} calls an object; remove one of them")
        return obj, _made(where, name, _attribute(module, space, where, name), "", args, named)
    if obj:
        name, found = obj, _attribute(module, space, where, obj)
    else:
        name, found = _usual(module, space, where, interface, factory)
    return name, _made(where, name, found, factory) if factory else found


def _call(where: str, obj: str) -> Tuple[str, List[Any], Dict[str, Any]]:
    """Returns the parts of "name.attribute(LITERAL, key=LITERAL)"."""
    import ast

    try:
        call = ast.parse(obj, mode="eval").body
        name = obj[: obj.index("(")].strip()
        if isinstance(call, ast.Call) and all(part.isidentifier() for part in name.split(".")):
            if not isinstance(call.func, ast.Call) and all(keyword.arg for keyword in call.keywords):
                return (
                    name, [ast.literal_eval(arg) for arg in call.args],
                    {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords},
                )
    except (SyntaxError, ValueError):
        pass
    raise _Wrong(
        f"{where}: {obj} must be one call with literal arguments, such as {where}:create_app('production',"
        " debug=False)"
    )


def _usual(module: Any, space: Namespace, where: str, interface: str, factory: str) -> Tuple[str, Any]:
    if interface not in ("wsgi", "asgi") and not factory and "PATHS" in space:
        return "PATHS", space["PATHS"]
    names = (_MADE_BY if factory else ()) + _CALLED
    if interface != "paths":
        for name in names:
            # Ignore submodules, because flask.app, for example, is not an application.
            if name in space and not isinstance(space[name], type(sys)):
                return name, space[name]
        for name in names if "__getattr__" in space else ():
            value = getattr(module, name, None)
            if value is not None and not isinstance(value, type(sys)):
                return name, value
    if interface == "paths":
        raise _Wrong(
            f"{where} has no PATHS; PATHS must be a list of (uri, callable) tuples: PATHS = [('/hello',"
            f" hello)]{_hints(space)}"
        )
    wanted = names if interface in ("wsgi", "asgi") or factory else ("PATHS",) + names
    listed = f"{', '.join(wanted[:-1])} or {wanted[-1]}"
    near = ""
    if "__path__" in space:  # This is a package, such as a Django project.
        from importlib.util import find_spec

        modules = [f"{where}.{name}" for name in ("wsgi", "asgi") if find_spec(f"{where}.{name}")]
        near = f"; did you mean {modules[0]}?" if modules else ""
    for name in () if factory or interface == "paths" else _MADE_BY:
        if callable(space.get(name)):
            near = near or f"; to serve the return value of {name}, {_how_to_call(where, name, space[name])}."
    for name in wanted:
        near = near or _near(name, _names(space), f"{where}:")
    raise _Wrong(f"{where} has no {listed}; name the object to serve, {where}:OBJECT{_hints(space, near)}")


def _attribute(module: Any, space: Namespace, where: str, obj: str) -> Any:
    first, *rest = obj.split(".")
    try:
        value, path = space[first] if first in space else getattr(module, first), first
    except AttributeError as error:
        tb = theirs(error.__traceback__)
        if tb is not None and tb.tb_next is not None:
            # The module's __getattr__ (PEP 562) knows the name, but has failed to create the object.
            raise
        module_name = _before_object(where, obj)
        near = _near(first, _names(space), f"{module_name}:") or f"; name another one, {module_name}:OBJECT"
        raise _Wrong(f"{where} has no object {first}{_hints(space, near)}") from None
    for name in rest:
        try:
            value = getattr(value, name)
        except AttributeError:
            others = dir(value)
            if name in others:
                raise  # The attribute exists, but creating its value has failed.
            near = _near(name, [other for other in others if not other.startswith("_")])
            raise _Wrong(f"{where}: {path}, {_a(value)}, has no {name}{near}") from None
        path += "." + name
    return value


def _made(
    where: str,
    name: str,
    maker: Any,
    factory: str,
    args: Optional[List[Any]] = None,
    named: Optional[Dict[str, Any]] = None,
) -> Any:
    """Returns the result of maker. factory is the setting because of which maker is called, or "" if the user has typed
    a call."""
    try:
        made = maker(*args or (), **named or {})
    except TypeError as error:
        if theirs(error.__traceback__) is not None:
            raise
        if not factory:
            raise _Wrong(f"{where}: {name}, {_a(maker)}, cannot be called so: {error}") from None
        hint, needed = "", len(required(maker))
        if needed in (2, 3):
            hint = f"; if it is the application itself, remove {factory}, and write each factory as a call, FACTORY()"
        elif needed:
            hint = f"; remove {factory}, and {_how_to_call(where, name, maker)}"
        raise _Wrong(f"{where}: {factory} calls {name}, {_a(maker)}, without arguments: {error}{hint}") from None
    if made is None:
        raise _Wrong(f"{where}: {name} returned None, not an application")
    return made


def required(factory: Any) -> List[str]:
    """Returns the arguments that a call must have: "'CONFIG'", "debug='DEBUG'"."""
    import inspect

    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # a function written in C has no signature
        return []
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [(p.name + "=") * (p.kind is p.KEYWORD_ONLY) + repr(p.name.upper()) for p in needed]


def _how_to_call(where: str, name: str, factory: Any) -> str:
    return f'type a call: "{_before_object(where, name)}:{name}({", ".join(required(factory))})"'


def _before_object(where: str, obj: str) -> str:
    """Returns the script or module in where, which ends with ":obj" if there are several applications."""
    return where[: -len(obj) - 1] if where.endswith(f":{obj}") else where


def _names(space: Namespace) -> List[str]:
    """Returns the names of globals that the user may have meant, without modules and imported names."""
    own = space.get("__name__")

    def meant(name: str, value: Any) -> bool:
        kind = type(value)
        if name.startswith("_") or kind is type(sys):
            return False
        if issubclass(kind, type) or kind.__name__ in ("function", "builtin_function_or_method"):
            return getattr(value, "__module__", None) == own
        return kind.__module__ != "__future__"

    return sorted(name for name, value in space.items() if meant(name, value))


def _hints(space: Namespace, near: str = "") -> str:
    names = [name for name in _names(space) if callable(space[name]) or isinstance(space[name], (list, tuple))]
    if not names:
        return near
    more = ", ..." if len(names) > _SHOWN else ""
    end = "" if near.endswith(("?", ".")) else "."
    return f"{near}{end} It has: {', '.join(names[:_SHOWN])}{more}"


def _near(wrong: str, names: List[str], prefix: str = "") -> str:
    from difflib import get_close_matches

    # An abbreviation, such as app for application, is not similar enough for difflib.
    short = [name for name in names if name.startswith(wrong) or wrong.startswith(name)] if len(wrong) > 2 else []
    close = get_close_matches(wrong, names, 1) or short
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def _a(value: Any) -> str:
    """Returns the type of a value with its article, such as "a list" or "a flask.app.Flask"."""
    kind = type(value)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _judge(where: str, name: str, served: Any, interface: str, factory: str) -> None:
    """Raises _Wrong if the object served is of a kind that the server cannot serve."""
    what = f"{where}: {'the result of ' if factory else ''}{name}"
    if isinstance(served, (list, tuple)):
        if interface in ("wsgi", "asgi"):
            raise _Wrong(
                f"{what} is {_a(served)}, not {'a WSGI' if interface == 'wsgi' else 'an ASGI'} application; --interface"
                " paths serves tables like PATHS"
            )
        return
    if name == "PATHS" and not factory:
        return  # the executable reports the error
    if interface == "paths":
        raise _Wrong(
            f"{what} is {_a(served)}, not a list of (uri, callable) tuples; --interface auto serves applications"
        )
    if not callable(served):
        from fapws._verbs import adapt

        if adapt(served) is not None:
            return
        raise _Wrong(
            f"{what} is {_a(served)}, which cannot be called; a WSGI application takes (environ, start_response), an"
            " ASGI application (scope, receive, send)"
        )
    if isinstance(served, type) or interface == "asgi":
        # Accept every class, because the arguments may go to its metaclass, to __new__ or to __init__.
        return
    function = served if hasattr(served, "__code__") else type(served).__call__
    code = getattr(function, "__code__", None)
    if code is None:
        return
    from fapws._kinds import kind_of

    if kind_of(served, interface)[0] != "wsgi":
        return
    if code.co_flags & _COROUTINE:
        raise _Wrong(
            f"{what} ({_a(served)}) is async and takes neither (scope, receive, send), as ASGI applications do, nor"
            " (environ, start_response)"
        )
    if function is not served:
        return
    most = code.co_argcount - hasattr(served, "__self__")
    least = most - len(served.__defaults__ or ())
    if least <= 2 and (most >= 2 or code.co_flags & _VARARGS):
        return
    hint = ""
    if least <= 1 and not factory:
        hint = f"; if it makes the application, {_how_to_call(where, name, served)}"
    raise _Wrong(
        f"{what} takes {most} argument{'s' * (most != 1)}; a WSGI application takes two, (environ, start_response),"
        f" an ASGI application three, (scope, receive, send){hint}"
    )
