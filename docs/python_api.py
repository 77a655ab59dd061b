"""Writes python-api.md, from the signatures and docstrings of package fapws, into the file that PYTHON_API names.

Run it with "fapws check python_api.py". Most of the package can only be imported inside of fapws.
"""

import ast
import collections.abc
import importlib
import inspect
import os
import re
import typing

import fapws

MODULES = [
    "fapws", "fapws.base", "fapws.cache", "fapws.groups", "fapws.metrics", "fapws.testing", "fapws.users",
    "fapws.contrib.headers",
    "fapws.contrib.views", "fapws.contrib.multipart", "fapws.contrib.cgi", "fapws.contrib.sessions",
    "fapws.contrib.zip", "fapws.contrib.log", "fapws.contrib.profile",
]

INTRODUCTION = """# Python API

What a script can import. `fapws.contrib.channels`, for Django Channels, is on
the page about [frameworks](wsgi-asgi.md#django). A script names its handlers in the list [`PATHS`](script.md). Any thread may call a function, unless its text says otherwise.
"""

# Each task has its functions, and an example: what it does, the name of a file, its text, and what to type.
TASKS = [
    ("Answer", ["HTTPError", "redirect", "Environ", "Start_response", "Staticfile", "CGIApplication", "Gzip", "parse", "Timeout", "ClientDisconnected"], "A page, and an error 404", "answer.py", """
from fapws import HTTPError

def page(environ, start_response):
    if environ["PATH_INFO"] not in ("", "/"):
        raise HTTPError(404, "There is no such page.")
    return "hello\\n"

PATHS = [("/", page)]
""", """
$ fapws answer.py
$ curl http://127.0.0.1:8888/
hello
$ curl http://127.0.0.1:8888/other | grep -o 'There .*page'
There is no such page
"""),
    ("Live values", ["channel", "publish", "subscribers", "on_join", "on_leave", "WebSocket", "broadcast", "join", "leave",
                     "send", "count"], "A clock for all clients", "live.py", """
from fapws import channel, publish, timer

@timer(1)
def measure():
    publish("clock", "tick")

PATHS = [("/live", channel("clock"))]
""", """
$ fapws live.py
$ curl -sN http://127.0.0.1:8888/live > received &
$ grep -m 1 data received
data: tick
"""),
    ("Uploads", ["upload", "Upload", "UploadedFile"], "Storing uploads", "uploads.py", """
from fapws import upload

def stored(environ, start_response):
    return f"{environ['fapws.upload'].file.size} bytes\\n"

PATHS = [("/files", upload("incoming", stored))]
""", """
$ mkdir incoming
$ fapws uploads.py
$ printf hello > hello.txt
$ curl -T hello.txt http://127.0.0.1:8888/files/
5 bytes
"""),
    ("Work in the background", ["defer", "defer_queue_size", "timer", "Timer"], "Work after the response", "later.py", """
from fapws import defer

def order(environ, start_response):
    defer(print, "written after the response")
    return "thank you\\n"

PATHS = [("/", order)]
""", """
$ fapws later.py
$ curl http://127.0.0.1:8888/
thank you
"""),
    ("Users", ["Login", "Sessions", "check", "list", "set", "remove"], "A page for users who have logged in", "private.py", """
from fapws import Login

def page(environ, start_response):
    return f"hello {environ['REMOTE_USER']}\\n"

PATHS = [("/", Login(page, "users"))]
""", """
$ echo 'correct horse' | fapws user add -f users ann
…
$ fapws private.py
$ curl -s -o page -w '%{http_code}\\n' http://127.0.0.1:8888/
401
"""),
    ("Cache", ["cached", "purge"], "A page that is made once a minute", "news.py", """
from fapws.cache import cached

def news(environ, start_response):
    return "news\\n"

PATHS = [("/", cached(news, ttl=60))]
""", """
$ fapws news.py
$ curl http://127.0.0.1:8888/
news
"""),
    ("Metrics and logs", ["counter", "gauge", "histogram", "Log", "Profile"], "Counting orders", "shop.py", """
from fapws.metrics import counter
ORDERS = counter("shop_orders", "Orders placed.")

def order(environ, start_response):
    ORDERS.add()
    return "thank you\\n"

PATHS = [("/", order)]
""", """
$ fapws shop.py
$ curl http://127.0.0.1:8888/
thank you
$ fapws ctl metrics | grep orders_total
shop_orders_total 1
"""),
    ("Tests, and a start from Python", ["serve", "Server", "run"], "`python3 main.py` then serves: [Frameworks, from Python](wsgi-asgi.md#from-python).", "", "", ""),
]

# Functions that exist for scripts of fapws3 and Fapws4.
OLD = {"add_timer", "restart_timer", "stop_timer", "Session"}

WIDTH = 88  # of a signature on one line

# Classes whose objects come from the server or from a function of fapws, so that the page omits their parameters.
MADE = {"Counter", "File", "Form", "Gauge", "Histogram", "Server", "Timer", "Upload", "UploadedFile"}

NATIVE = {}
with open(os.path.join(os.path.dirname(fapws.__file__), "_native.pyi")) as stub:
    exec(stub.read(), NATIVE)


def public(module):
    names = getattr(module, "__all__", None)
    if names is None and module.__name__ == "fapws":
        names = list(module._modules)
    if names is None:
        names = [
            name for name, value in vars(module).items()
            if callable(value) and not name.startswith("_") and getattr(value, "__module__", "").startswith("fapws")
        ]
    return sorted(names, key=str.lower)


def names_for_types(module):
    """The names that a module defines only for type checkers."""
    names = dict(vars(typing))
    if module.startswith("fapws"):
        source = ast.parse(inspect.getsource(importlib.import_module(module)))
        for node in source.body:
            if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
                names.update(vars(importlib.import_module(module)))
                exec(compile(ast.Module(node.body, []), module, "exec"), names)
    return names


def type_name(kind):
    """A type in the notation of current Python, regardless of the Python that runs."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is type(None) or kind is None:
        return "None"
    if kind is Ellipsis:
        return "..."
    if isinstance(kind, list):
        return "[%s]" % ", ".join(map(type_name, kind))
    if isinstance(kind, typing.TypeVar):
        return "Callable" if kind.__bound__ is None else type_name(kind.__bound__)
    if origin is typing.Union or type(kind).__name__ == "UnionType":
        return " | ".join(map(type_name, arguments))
    name = (
        "Callable" if origin is collections.abc.Callable
        else getattr(origin or kind, "__name__", None) or str(kind).replace("typing.", "")
    )
    if arguments and arguments[0] is Ellipsis:
        arguments = ...,  # the parameters of Callable[..., X] are not a list
        arguments += typing.get_args(kind)[1:]
    if name == "AbstractContextManager":
        arguments = arguments[:1]  # Python 3.13 adds the result of __exit__
    return "%s[%s]" % (name, ", ".join(map(type_name, arguments))) if arguments else name


def shown(parameter, hints):
    """A parameter with its type and default."""
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text, default, given = stars + parameter.name, parameter.default, parameter.default is not parameter.empty
    if parameter.name in hints:
        text += ": " + type_name(hints[parameter.name])
    if given:
        name = (
            "%s.%s" % (default.__module__.split(".")[0], default.__name__) if inspect.isfunction(default)
            else repr(default)
        )
        text += (" = " if parameter.name in hints else "=") + (oct(default) if parameter.name == "mode" else name)
    return text


def signature(name, value):
    """A block of code with the parameters of a function or class, their types, and the type of the result; "" without
    parameters, and for a class of MADE."""
    if name in MADE:
        return ""
    typed = value.__init__ if inspect.isclass(value) else value
    native = NATIVE.get(name.split(".")[0])
    if native is not None and inspect.isclass(native):
        typed = (
            getattr(native, name.split(".")[1]) if "." in name
            else native.__call__ if "__call__" in vars(native) else object.__init__
        )
    try:
        parameters = list(inspect.signature(typed).parameters.values())
    except (TypeError, ValueError):
        return ""
    if isinstance(typed, type(object.__init__)):
        return ""  # the class inherits object.__init__
    hints = typing.get_type_hints(typed, localns=names_for_types(getattr(typed, "__module__", None) or ""))
    if parameters and parameters[0].name == "self":
        del parameters[0]
    shown_parameters, kind = [], None
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and kind not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            shown_parameters.append("*")
        kind = p.kind
        shown_parameters.append(shown(p, hints))
    result = "" if inspect.isclass(value) or "return" not in hints else " -> " + type_name(hints["return"])
    line = "%s(%s)%s" % (name, ", ".join(shown_parameters), result)
    if len(line) > WIDTH:
        line = "%s(\n%s\n)%s" % (name, "".join("    %s,\n" % p for p in shown_parameters).rstrip("\n"), result)
    return "```py\n%s\n```\n\n" % line


def markdown(text):
    """A docstring in Markdown: lists of parameters, code, and names of other functions."""
    out, code, in_list = [], [], False

    def end_code():
        if code:
            out.extend(["```py", *inspect.cleandoc("\n" + "\n".join(code)).split("\n"), "```", ""])
            code.clear()

    in_code = False
    for line in inspect.cleandoc(text or "").split("\n"):
        if in_code:
            if not line or line.startswith("    "):
                code.append(line)
                continue
            in_code = False
            end_code()
        item = re.match(r"([\w., ()]+?) +-- (.*)", line)
        term = re.match(r"``([\w.]+)``$", line)
        if item:
            out.extend([""] if not in_list and out and out[-1] else [])
            names = ", ".join("`%s`" % name for name in item.group(1).split(", "))
            out.append("- %s: %s" % (names, prose(item.group(2))))
            in_list = True
        elif term:
            out.append("- `%s`:" % term.group(1))
            in_list = True
        elif line.startswith(" ") and in_list:
            out.append("  " + prose(line.strip()))
        else:
            in_list = False
            if line.endswith("::"):
                in_code = True
                line = line[:-1] if line != "::" else ""
            if line or (out and out[-1]):
                out.append(prose(line))
            if in_code and out and out[-1]:
                out.append("")
    end_code()
    return "\n".join(out).strip() + "\n"


def prose(line):
    """A line of a docstring in Markdown."""
    parts = re.sub(r":(?:func|class|meth):`([^`]*)`", r"`\1`", line).replace("``", "`").split("`")
    if len(parts) % 2:  # All code between backquotes ends on this line.
        parts[::2] = [
            re.sub(r"(?<![\w\"-])(--[a-z][a-z-]*|[a-z]+_\w+|[A-Z]\w*Error|sqlite3\.Error|[A-Z]+_[A-Z_]+)\b", r"`\1`", part)
            for part in parts[::2]
        ]
    return "`".join(parts)


def attributes(value):
    """A list of the attributes of a class: properties, and variables with a comment "#:"."""
    found = [(name, one.__doc__ or "") for name, one in vars(value).items() if inspect.isdatadescriptor(one)]
    if value.__module__.startswith("fapws."):
        comments = re.findall(r"^ {4}#: (.*)\n {4}(\w+)", inspect.getsource(value), re.M)
        found += [(name, text) for text, name in comments]
    rows = [
        "- `%s`: %s\n" % (name, prose(text[0].lower() + text[1:].rstrip(".")))
        for name, text in found if text and not name.startswith("_")
    ]
    return "\n" + "".join(rows) if rows else ""


def section(name, value, level, title=None):
    text = signature(name, value) + markdown(value.__doc__)
    return "%s %s\n\n%s%s" % ("#" * level, title or name, text, attributes(value) if inspect.isclass(value) else "")


def methods(value):
    for name, method in sorted(vars(value).items()):
        if not name.startswith("_") and inspect.isroutine(method) and method.__doc__:
            yield name, method


def summary(value):
    """The first sentence of a docstring, for a table."""
    text = " ".join(prose(line) for line in inspect.cleandoc(value.__doc__ or "").split("\n\n")[0].split("\n"))
    return re.split(r"[.:;]+(?: |$)", text)[0]


def heading(module, item):
    """The title of the section about an object: no two differ only in case, as those of timer and Timer would."""
    value = getattr(importlib.import_module(module), item)
    if inspect.isclass(value) and not item[0].islower():
        return "class " + item
    return "%s.%s()" % (module if module == "fapws" else module[len("fapws."):], item)


def anchor(title):
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def tasks():
    """A list of the functions of each task, and an example."""
    values = {}
    for name in reversed(MODULES):
        module = importlib.import_module(name)
        values.update(
            (item, (f"{name}.{item}"[len("fapws."):], getattr(module, item), heading(name, item))) for item in public(module)
        )
    yield "## By task\n"
    for title, names, does, file, text, typed in TASKS:
        yield f"### {title}\n"
        for item in names:
            name, value, where = values[item]
            yield "- [`%s`](#%s): %s" % (name, anchor(where), summary(value))
        yield ""
        if not file:
            yield does + "\n"
        else:
            yield "%s:\n\n```python %s\n%s\n```\n\n```console\n%s\n```\n" % (does, file, text.strip(), typed.strip())


def titles():
    for name in MODULES:
        for item in public(importlib.import_module(name)):
            if name == "fapws" or item[0].isupper():
                yield item, anchor(heading(name, item))


def finished(text):
    """The text of a section with a list of its errors, and with links to other sections."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    for i in range(0, len(parts), 2):
        part = re.sub(r"\s*\bAny\s+thread\s+may\s+call\s+it(?:\.|;\s+the\s+call\s+does\s+not\s+wait\.)", "", parts[i])
        part = re.sub(
            r"(?:(?<=[.:])|(?<=\n))\s?(`(?:\w+Error|sqlite3\.Error)`(?:,\s+`\w+Error`)*):\s+((?:[^.`]|`[^`]*`|\.(?=\S))+\.)",
            lambda m: "\n\n- raises %s: %s" % (" ".join(m[1].split()), " ".join(m[2].split())), part,
        )
        part = re.sub(r"(- raises .*)\n\n(?=- raises)", r"\1\n", part)
        parts[i] = re.sub(r"(^#.*|^- `\w+`(?=[:,]))|(?<!\[)`(\w+)`", linked, part, flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", "".join(parts))


def linked(match):
    return match[1] or ("[`%s`](#%s)" % (match[2], LINKED[match[2]]) if match[2] in LINKED else match[0])


def page():
    yield INTRODUCTION
    yield from tasks()
    old = []
    for name in MODULES:
        module = importlib.import_module(name)
        yield f"## {name}\n"
        if name != "fapws":
            yield markdown(module.__doc__)
        made = []
        for item in public(module):
            value = getattr(module, item)
            lines = old if item in OLD else made
            lines.append(section(item, value, 3, heading(name, item)))
            if inspect.isclass(value):
                lines.extend(section(f"{item}.{method}", function, 4) for method, function in methods(value))
        yield from made
    yield "## Names of fapws3 and Fapws4\n\nScripts for Fapws4 find the same modules under `fapws4`.\n"
    yield from old
    yield "Next: [Limits](limits.md)\n"


LINKED = {item: where for item, where in titles() if item not in ("File", "Form")}

with open(os.environ["PYTHON_API"], "w") as out:
    head, mark, rest = "\n".join(page()).partition("\n## fapws\n")
    out.write(head + mark + finished(rest))

PATHS = [("/", lambda environ, start_response: "")]
