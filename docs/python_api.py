"""Writes python-api.md, from the docstrings of package fapws, into the file that PYTHON_API names.

fapws check python_api.py runs it: most of the package works inside of fapws only.
"""

import importlib
import inspect
import os

MODULES = [
    "fapws", "fapws.base", "fapws.cache", "fapws.groups", "fapws.metrics", "fapws.contrib.headers", "fapws.contrib.views", "fapws.contrib.multipart",
    "fapws.contrib.cgi", "fapws.contrib.sessions", "fapws.contrib.zip", "fapws.contrib.log", "fapws.contrib.profile",
]

INTRODUCTION = """# Python API

What a script can import, from the docstrings of the package; `help()` in `fapws shell` shows the same. `fapws.contrib.channels`, for Django Channels, is on the
page about [frameworks](wsgi-asgi.md#django). Scripts for Fapws4 find the same modules under `fapws4`.
"""


def public(module):
    names = getattr(module, "__all__", None)
    if names is None and module.__name__ == "fapws":
        names = list(module._modules)
    if names is None:
        names = [name for name, value in vars(module).items()
                 if callable(value) and not name.startswith("_") and getattr(value, "__module__", "").startswith("fapws")]
    return sorted(names, key=str.lower)


class Name:
    """Shows a function that is a default by its name."""

    def __init__(self, function):
        self.function = function

    def __repr__(self):
        return f"{self.function.__module__.split('.')[0]}.{self.function.__name__}"


def plain(parameter):
    default = parameter.default
    if inspect.isfunction(default):
        default = Name(default)
    return parameter.replace(annotation=inspect.Parameter.empty, default=default)


def signature(value, skip=0):
    try:
        arguments = inspect.signature(value)
    except (TypeError, ValueError):  # of a class in C
        return ""
    arguments = arguments.replace(
        parameters=[plain(parameter) for parameter in list(arguments.parameters.values())[skip:]],
        return_annotation=inspect.Signature.empty)
    return str(arguments)


def section(title, text, level):
    return f"{'#' * level} {title}\n\n```text\n{inspect.cleandoc(text or '')}\n```\n"


def methods(value):
    for name, method in sorted(vars(value).items()):
        if not name.startswith("_") and inspect.isroutine(method) and method.__doc__:
            yield name, method


def page():
    yield INTRODUCTION
    for name in MODULES:
        module = importlib.import_module(name)
        yield f"## {name}\n"
        for item in public(module):
            value = getattr(module, item)
            yield section(item + signature(value), value.__doc__, 3)
            if inspect.isclass(value):
                for method, function in methods(value):
                    yield section(f"{item}.{method}" + signature(function, skip=1), function.__doc__, 4)  # without self
    yield "Next: [Limits](limits.md)\n"


with open(os.environ["PYTHON_API"], "w") as out:
    out.write("\n".join(page()))

PATHS = [("/", lambda environ, start_response: "")]
