"""Loads modules and files that Python would otherwise read during a request, when ``--chroot`` already hides them.

The executable calls main after it has loaded the application.
"""
from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple

    App = Tuple[str, Dict[str, Any], List[Any]]

__all__ = ["main"]

# Modules that handlers, frameworks and Python itself import when they first need them.
_LATE = """
    _strptime argparse ast asyncio base64 binascii bisect bz2 calendar cgi cmath code codecs collections.abc
    concurrent.futures.process concurrent.futures.thread configparser contextlib contextvars copy copyreg csv ctypes
    dataclasses datetime dbm.dumb decimal difflib dis email.mime.base email.mime.multipart email.mime.nonmultipart
    email.mime.text email.parser email.policy email.utils enum errno fnmatch fractions functools getpass gettext glob
    gzip hashlib heapq hmac html.entities html.parser http.client http.cookiejar http.cookies http.server imaplib
    inspect io ipaddress itertools json.decoder json.encoder linecache locale logging.config logging.handlers lzma math
    mimetypes mmap multiprocessing.connection multiprocessing.pool multiprocessing.process netrc numbers opcode operator
    optparse os pathlib pickle pkgutil platform pprint queue quopri random re reprlib sched secrets select selectors
    shelve shlex shutil signal smtplib socket socketserver sqlite3 ssl stat statistics string stringprep struct
    subprocess tarfile tempfile textwrap threading time timeit tokenize traceback types typing unicodedata urllib.error
    urllib.parse urllib.request urllib.response urllib.robotparser uuid warnings weakref wsgiref.headers
    wsgiref.simple_server wsgiref.util wsgiref.validate xml.dom.minidom xml.etree.ElementTree xml.parsers.expat
    xml.sax.saxutils xmlrpc.client zipfile zlib zoneinfo
    fapws._arguments fapws._brief fapws._channels fapws._cookies fapws._debugpage fapws._environ fapws._errors
    fapws._file fapws._framework fapws._later fapws._errorlog fapws._native fapws._timeout fapws._traceback fapws._verbs fapws.base
    fapws.contrib.multipart
""".split()


def main(apps: List[App]) -> None:
    """Imports modules and reads files that the loaded applications could not find in the chroot."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _LATE:
            _imported(name)
        import encodings
        import pkgutil

        for module in pkgutil.iter_modules(encodings.__path__):
            _imported(f"encodings.{module.name}")
    _lines()
    _other_files()


def _imported(name: str) -> None:
    try:
        import_module(name)
    except ImportError:
        pass


def _lines() -> None:
    """Keeps the source of all modules in memory, so that tracebacks contain source lines."""
    import linecache

    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or not file.endswith(".py"):
            continue
        lines = linecache.getlines(file)
        if lines:
            # If the time is None, linecache does not compare the entry with the file.
            linecache.cache[file] = (sum(map(len, lines)), None, lines, file)


def _other_files() -> None:
    import locale
    import mimetypes
    import socket
    import time

    mimetypes.init()
    time.tzset()
    locale.getpreferredencoding()
    try:
        # Resolve a name, so that the C library loads its libraries for name resolution now.
        socket.getaddrinfo("localhost", 80)
    except OSError:
        pass
    "example".encode("idna")
