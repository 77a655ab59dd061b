"""Classes with a method for each HTTP method, as entries of PATHS.

The executable imports this module if PATHS contains a class or object of this kind.
"""
from __future__ import annotations

from types import FunctionType, MethodType

from fapws._arguments import misfit, takes_nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Mapping, Optional, Union

    Application = Callable[[Mapping[str, Any], Callable[..., Any]], Any]

__all__ = ["adapt"]

_COROUTINE = 0x280  # inspect.CO_COROUTINE | CO_ASYNC_GENERATOR
_VERBS = ("get", "head", "post", "put", "patch", "delete", "options")


def adapt(entry: Any) -> Union[Application, str, None]:
    """Returns a WSGI application that calls the method of entry for the HTTP method of the request.

    If entry is a class, a new object is created without arguments for each request. An object is used directly, by
    several threads at once. Methods are called ``method(environ, start_response)``. If entry has no method for the
    request, ``get`` is called for HEAD, the response to OPTIONS lists the allowed methods, and the response to any
    other method has status 405. If a method is async, the application is async, too.

    Returns None if entry has no methods for HTTP, or is a WSGI application itself (a class with ``__iter__`` or
    ``__call__``, PEP 3333) or a container. A str says why entry cannot be used.
    """
    is_class = isinstance(entry, type)
    owner = entry if is_class else type(entry)
    names = ("__call__", "__iter__") if is_class else ("__call__", "__getitem__")
    if any(name in vars(base) for base in owner.__mro__ for name in names):
        return None
    methods = {verb.upper(): verb for verb in _VERBS if callable(getattr(entry, verb, None))}
    if not methods:
        return _uncallable(entry) if is_class else None
    if is_class:
        if getattr(entry, "__abstractmethods__", None):
            return f"{entry.__qualname__} is abstract: it lacks {', '.join(sorted(entry.__abstractmethods__))}"
        needed = _arguments(entry)
        if needed:
            return f"{entry.__qualname__}() needs {needed}: put an object of it into PATHS, not the class"
    return _misfit(owner, methods) or _application(entry, is_class, methods)


def _uncallable(cls: Any) -> Optional[str]:
    """Returns why cls cannot be an entry of PATHS, or None if it may be a WSGI application. A class without methods for
    HTTP cannot be a WSGI application if its constructor accepts no arguments."""
    if takes_nothing(cls):
        return (
            f"the class {cls.__qualname__} has no method {', '.join(_VERBS[:-1])} or {_VERBS[-1]}, and does not take"
            " (environ, start_response)"
        )
    return None


def _arguments(cls: Any) -> str:
    """Returns the arguments that are required to create an object of cls."""
    code = getattr(cls.__init__, "__code__", None)
    if code is None:
        return ""
    defaults = len(getattr(cls.__init__, "__defaults__", None) or ())
    positional, end = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    known = getattr(cls.__init__, "__kwdefaults__", None) or {}
    needed = [
        *code.co_varnames[1 : positional - defaults],
        *(name for name in code.co_varnames[positional:end] if name not in known),
    ]
    return ", ".join(needed)


def _misfit(owner: type, methods: Dict[str, str]) -> str:
    """Returns why a method for an HTTP method does not accept (environ, start_response), or "" if all methods accept
    these arguments."""
    for verb in methods.values():
        method = next((vars(base)[verb] for base in owner.__mro__ if verb in vars(base)), None)
        bound = MethodType(method, owner) if isinstance(method, FunctionType) else getattr(owner, verb, None)
        problem = misfit(bound, "environ", "start_response")
        if problem:
            return problem
    return ""


def _application(entry: Any, is_class: bool, methods: Dict[str, str]) -> Application:
    if "GET" in methods:
        methods.setdefault("HEAD", methods["GET"])
    order = [verb.upper() for verb in _VERBS]
    allowed = ", ".join(verb for verb in order if verb in methods or verb == "OPTIONS")

    def serve(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Any:
        method = environ["REQUEST_METHOD"]
        name: Optional[str] = methods.get(method)
        if name is not None:
            return getattr(entry() if is_class else entry, name)(environ, start_response)
        if method == "OPTIONS":
            start_response("204 No Content", [("Allow", allowed)])
            return []
        from fapws._errors import HTTPError

        return HTTPError(405, headers=[("Allow", allowed)])(environ, start_response)

    async def serve_async(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Any:
        result = serve(environ, start_response)
        return await result if hasattr(result, "__await__") else result

    application = serve_async if any(_is_async(getattr(entry, verb)) for verb in methods.values()) else serve
    application.allowed = allowed  # type: ignore[attr-defined]  # for fapws routes
    return application


def _is_async(method: Any) -> bool:
    return bool(getattr(getattr(method, "__code__", None), "co_flags", 0) & _COROUTINE)
