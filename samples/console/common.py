"""Code that all pages share: settings of the device, the frame, HTML, files and commands."""
import fcntl
import os
import shlex
import subprocess
import sys
import threading
import zlib
from contextlib import suppress
from functools import wraps
from html import escape
from pathlib import Path
from string import Template

from fapws import HTTPError

HERE = Path(__file__).absolute().parent
VERSION, PROC, SYS = (os.environ["CONSOLE_" + name] for name in ("VERSION", "PROC", "SYS"))
# All files that the console writes are below these directories. A bundle has other files in HERE after each update.
DATA = Path(os.environ["CONSOLE_DATA"]).absolute()
RUN = os.environ["CONSOLE_RUN"] or f"/dev/shm/console-{os.getuid()}-{zlib.crc32(bytes(DATA)):x}"  # one per console
USERS = DATA / "users"
notices = []  # functions that return HTML for the top of every page: f(environ, prefix of the console's paths)
ENVIRONMENT = {**os.environ, "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8",
               "TERM": "xterm", "NCURSES_NO_UTF8_ACS": "1"}  # programs draw boxes with UTF-8 characters

class Html(str):
    """Text that is already HTML, and must not be escaped."""

def html(file, /, **values):
    """Fills in a file of the directory pages with values. Text is escaped, but Html and lists of Html are not."""
    values = {name: value if isinstance(value, Html) else "".join(value) if isinstance(value, list) else
              escape(str(value)) for name, value in values.items()}
    return Html(Template((HERE / "pages" / f"{file}.html").read_text().strip()).substitute(values))

def field_errors(names, wrong):
    """Returns the values of pages that mark the fields of a form, from {name of a field: what is wrong with it}."""
    return {**{f"{name}_wrong": wrong.get(name, "") for name in names},
            **{f"{name}_invalid": str(name in wrong).lower() for name in names}}

def page(title, path, entry=None):
    """A decorator for a handler that returns the body of a page. An HTTPError becomes a page with the same frame.

    path is the page that the menu marks, and entry the path in ENTRIES if it differs. Links get the console's prefix.
    """
    def decorate(handler):
        @wraps(handler)
        def answer(environ, start_response):
            heading, marked = title, f'<a href="{path}">'
            root = environ["SCRIPT_NAME"].rstrip("/")[:-len((entry or path).rstrip("/")) or None]
            try:
                if environ["PATH_INFO"].strip("/"):
                    marked = "<nothing>"
                    raise HTTPError(404, "This page does not exist. The address may be wrong, or the page has moved.")
                body = handler(environ, start_response)
            except HTTPError as error:
                start_response(f"{error.status} {error.reason}", error.headers)
                heading = error.reason
                body = html("error", status=error.status, text=error.text)
            frame = html("frame", title=heading, host=hostname(), user=environ["REMOTE_USER"], body=body,
                         notices=[notice(environ, root) for notice in notices])
            for missing in MISSING:
                frame = frame.replace(f'<a href="{missing}">', f'<a hidden href="{missing}">')
            return frame.replace(marked, marked[:-1] + ' aria-current="page">', 1).replace('="/', f'="{escape(root)}/')
        return answer
    return decorate

def attempt(start_response, action, *arguments, **options):
    """Calls action with the values of a form. Returns "", or the text of an error for the page that shows the form."""
    try:
        action(*arguments, **options)
        return ""
    except HTTPError as error:
        start_response(f"{error.status} {error.reason}", [])
        return error.text

def parameter(environ, name, default=""):
    return environ["fapws.params"].get(name, [default])[0].strip()

def setting_words(name):
    """Returns the words of a setting in device.env."""
    return shlex.split(os.environ["CONSOLE_" + name])

def run(command, stdin="", root=False, status=500, **options):
    """Runs a command, without a shell, and returns its output. Raises HTTPError with status if the command fails."""
    try:
        return subprocess.run(setting_words("ROOT") + command if root else command, input=stdin, capture_output=True,
                              check=True, timeout=30, text=True, errors="replace", env=ENVIRONMENT, **options).stdout
    except subprocess.CalledProcessError as error:
        output = (error.stderr or error.stdout or "failed").strip()
        said = output.split("\n")[-output.startswith("Traceback")][-1000:]  # the last line of a traceback
        rights = "" if os.geteuid() == 0 or setting_words("ROOT") else " (The console may lack a right for this.)"
        raise HTTPError(status, f"{os.path.basename(command[0])}: {said}{rights}") from None
    except OSError as error:
        raise HTTPError(500, f"{error.filename or command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise HTTPError(500, f"{command[0]} has not ended within 30 seconds, and was killed.") from None

def lines(*paths):
    """Returns the lines of the first file that can be read, or [""]."""
    for path in paths:
        with suppress(OSError):
            return Path(path).read_text(errors="replace").rstrip("\0\n").split("\n")
    return [""]

def hostname():
    return lines(PROC + "/sys/kernel/hostname")[0]

def write(path, text):
    """Replaces a file. The new text is on the disk on return, and a power failure leaves no half of a text."""
    new = f"{path}.{threading.get_native_id()}"  # another one in each thread of each process
    try:
        with open(new, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
        directory = os.open(os.path.dirname(path), os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    except OSError as error:
        with suppress(OSError):
            os.unlink(new)
        raise HTTPError(500, f"{error.strerror}: {path}") from None

# pages that this device does not have, because their commands are not set
MISSING = [path for path, name in (("/terminal", "SHELL"), ("/firmware", "INSTALL")) if not setting_words(name)]

for setting, directory in ("CONSOLE_DATA", DATA), ("CONSOLE_RUN", RUN):
    with suppress(OSError):
        os.makedirs(directory, 0o700, exist_ok=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        sys.exit(f"user {os.getuid()} cannot write to {directory}: make it writable, or set {setting} to another directory")
# Any user may create a directory in /dev/shm, so check the owner and the permissions.
if os.lstat(RUN).st_uid != os.getuid() or os.lstat(RUN).st_mode & 0o170077 != 0o040000:
    sys.exit(f"{RUN} must be open only to the user of the server: remove it, or set CONSOLE_RUN to another directory")
lock = open(os.path.join(RUN, "lock"), "w")

def publishes():
    """Returns True if this worker publishes for all workers. The first worker that asks publishes until it ends."""
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
