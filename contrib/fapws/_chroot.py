"""What Python looks for on disk as late as in a request, before ``--chroot`` puts it out of reach.

The executable calls main when the application has loaded.
"""
from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple

    App = Tuple[str, Dict[str, Any], List[Any]]

__all__ = ["main"]

# What handlers, frameworks and Python itself import where they need it.
_LATE = """
    _strptime argparse ast asyncio base64 binascii bisect bz2 calendar cgi cmath code codecs collections.abc
    concurrent.futures.process concurrent.futures.thread configparser contextlib contextvars copy copyreg csv ctypes
    dataclasses datetime dbm.dumb decimal difflib dis email.mime.base email.mime.multipart email.mime.nonmultipart
    email.mime.text email.parser email.policy email.utils enum errno fnmatch fractions functools getpass gettext glob
    gzip hashlib heapq hmac html.entities html.parser http.client http.cookiejar http.cookies http.server imaplib inspect
    io ipaddress itertools json.decoder json.encoder linecache locale logging.config logging.handlers lzma math mimetypes
    mmap multiprocessing.connection multiprocessing.pool multiprocessing.process netrc numbers opcode operator optparse
    os pathlib pickle pkgutil platform pprint queue quopri random re reprlib sched secrets select selectors shelve shlex
    shutil signal smtplib socket socketserver sqlite3 ssl stat statistics string stringprep struct subprocess tarfile
    tempfile textwrap threading time timeit tokenize traceback types typing unicodedata urllib.error urllib.parse
    urllib.request urllib.response urllib.robotparser uuid warnings weakref wsgiref.headers wsgiref.simple_server
    wsgiref.util wsgiref.validate xml.dom.minidom xml.etree.ElementTree xml.parsers.expat xml.sax.saxutils xmlrpc.client
    zipfile zlib zoneinfo
    fapws._brief fapws._channels fapws._cookies fapws._debugpage fapws._environ fapws._errors fapws._framework fapws._later
    fapws._errorlog fapws._native fapws._timeout fapws._traceback fapws._verbs fapws.base fapws.contrib.multipart
""".split()


def main(apps: List[App]) -> None:
    """Imports and reads, for apps that are loaded, what could not be found later."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are deprecated
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
    except ImportError:  # a Python without it
        pass


def _lines() -> None:
    """The source of all modules, so that module traceback shows it."""
    import linecache

    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or not file.endswith(".py"):
            continue
        lines = linecache.getlines(file)
        if lines:
            # Without a time, it is not compared with the file.
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
        socket.getaddrinfo("localhost", 80)  # the libraries that look up names
    except OSError:
        pass
    "example".encode("idna")
