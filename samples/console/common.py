"""What all pages share: settings, which are the first thing to change for your device, HTML, files and commands."""
import os
import shlex
import subprocess
import threading
from contextlib import suppress
from html import escape
from pathlib import Path
from string import Template

from fapws import HTTPError

def setting(name, default):
    return shlex.split(os.environ.get("CONSOLE_" + name, default))

ROOT = setting("ROOT", "")                         # put before commands that need root: "sudo -n"
APPLY = setting("APPLY", "")                       # gets the settings as JSON on standard input
INSTALL = setting("INSTALL", "")                   # installs a firmware, whose path is added
REBOOT = setting("REBOOT", "systemctl reboot")
SHELL = setting("SHELL", "/bin/sh -l")             # of the terminal
KEEP, = setting("KEEP", "600")                     # seconds that a shell waits for a browser that has disconnected
DATA, = setting("DATA", "data")                    # the directory of settings.json and firmware.bin
RUN, = setting("RUN", f"/dev/shm/console-{os.getuid()}")  # in memory: the history, and sockets of shells
VERSION, = setting("VERSION", "/etc/version")      # has the version of the firmware in its first line
PROC, = setting("PROC", "/proc")
SYS, = setting("SYS", "/sys")
LOGS = setting("LOGS", "/var/log/syslog /var/log/messages /var/log/*.log /var/log/*/*.log")
HERE = Path(__file__).resolve().parent
USERS = HERE / "users"
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}
writing = threading.Lock()

class Html(str):
    """Text that is HTML already, so that it is not escaped."""

def html(file, /, **values):
    """Fills a file of the directory pages with values: text, which is escaped, HTML, or a list of HTML."""
    texts = {key: value if isinstance(value, Html) else "".join(value) if isinstance(value, list) else escape(str(value))
             for key, value in values.items()}
    return Html(Template((HERE / "pages" / f"{file}.html").read_text().strip()).substitute(texts))

def page(title, path):
    """Decorator for a handler that returns the body of a page. An HTTPError becomes a message in the same frame."""
    def decorate(handler):
        def answer(environ, start_response):
            heading = title
            try:
                if environ["PATH_INFO"].strip("/"):
                    raise HTTPError(404, "This page does not exist. The address may be wrong, or the page has moved.")
                body = handler(environ, start_response)
            except HTTPError as error:
                if error.status < 400:
                    raise  # a redirect
                start_response(f"{error.status} {error.reason}", [])
                heading = error.reason
                body = html("error", status=error.status, text=error.text, title=title, path=path)
            frame = html("frame", title=heading, host=hostname(), body=body)
            return frame.replace(f'<a href="{path}">', f'<a href="{path}" aria-current="page">', heading == title)
        return answer
    return decorate

def parameter(environ, name, default=""):
    return environ["fapws.params"].get(name, [default])[0].strip()

def posted(environ):
    return environ["REQUEST_METHOD"] == "POST"

def lines(*paths):
    """The lines of the first file that can be read; [""] if none can."""
    for path in paths:
        with suppress(OSError):
            return Path(path).read_text(errors="replace").rstrip("\0\n").split("\n")
    return [""]

def hostname():
    return lines(PROC + "/sys/kernel/hostname")[0]

def write(path, text):
    """Replaces a file. After a power failure, it has the old or the new text as a whole."""
    try:
        with writing, open(f"{path}.new", "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.replace(f"{path}.new", path)
    except OSError as error:
        raise HTTPError(500, f"{path}: {error.strerror}") from None

def run(command, stdin=""):
    """Runs a command, without a shell, and returns its output. HTTPError: it has failed, and its text says why."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=30, text=True, errors="replace",
                              env=ENVIRONMENT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HTTPError(500, f"{command[0]}: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout or "failed").strip()[-1000:]
        rights = "" if ROOT or os.geteuid() == 0 else " (The server does not run as root: see Rights in README.md.)"
        raise HTTPError(500, f"{' '.join(command)}: {said}{rights}")
    return done.stdout

os.makedirs(DATA, exist_ok=True)
os.makedirs(RUN, 0o700, exist_ok=True)
if os.lstat(RUN).st_uid != os.getuid() or os.lstat(RUN).st_mode & 0o170077 != 0o040000:  # anyone may write to /dev/shm
    raise PermissionError(f"{RUN}: must be open only to the user of the server; remove it, or set CONSOLE_RUN")
