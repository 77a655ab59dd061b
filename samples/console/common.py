"""What all pages share: settings, which are the first thing to change for your device, commands, and the frame."""
import os
import shlex
import subprocess
import threading
from contextlib import suppress
from html import escape
from pathlib import Path

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
USERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "users")
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}
PAGES = {"Overview": "", "Services": "services", "Logs": "logs", "Terminal": "terminal", "Settings": "settings",
         "Firmware": "firmware", "Password": "password", "Reboot": "reboot"}  # with their paths
ICON = '<svg class="icon" aria-hidden="true"><use href="/www/icons.svg#{}"/></svg>'
writing = threading.Lock()
FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – {host}</title>
<link rel="icon" href="/www/icon.svg"><link rel="stylesheet" href="/www/console.css"></head>
<body><a class="skip" href="#main">Skip to the content</a>
<header><a class="brand" href="/"><img src="/www/icon.svg" alt="" width="28" height="28">{host}</a>
<button class="menu" popovertarget="nav">Menu</button></header><nav id="nav" popover aria-label="Pages">{links}
<form method="post" action="/_fapws/logout"><button>""" + ICON.format("Logout") + """Log out</button></form></nav>
<main id="main" tabindex="-1"><h1>{title}</h1>{body}</main></body></html>
"""
ERROR = """<div class="card error"><p class="code">{0.status}</p><p role="alert">{1}</p>
<p><a class="button" href="/{2}">Back to {3}</a></p></div>"""

def lines(*paths):
    """The lines of the first file that can be read; [""] if none can."""
    for path in paths:
        with suppress(OSError):
            return Path(path).read_text(errors="replace").rstrip("\0\n").split("\n")
    return [""]

def hostname():
    return lines(PROC + "/sys/kernel/hostname")[0]

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

def page(title):
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
                heading, body = error.reason, ERROR.format(error, escape(error.text), PAGES[title], title)
            links = "".join(f'<a href="/{path}"{" aria-current=page" * (name == heading)}>{ICON.format(name)}{name}</a>'
                            for name, path in PAGES.items())
            return FRAME.format(title=heading, host=escape(hostname()), links=links, body=body)
        return answer
    return decorate

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

def field(label, attributes, name, message):
    """A field of a form; a message says what is wrong with its text."""
    mark = f' aria-invalid="true" aria-describedby="{name}-wrong"' if message else ""
    wrong = f'<p class="bad" id="{name}-wrong">{escape(message)}</p>' if message else ""
    return f'<label>{label} <input name="{name}" {attributes}{mark}></label>{wrong}'

def posted(environ):
    return environ["REQUEST_METHOD"] == "POST"

def parameter(environ, name, default=""):
    return environ["fapws.params"].get(name, [default])[0].strip()

os.makedirs(DATA, exist_ok=True)
os.makedirs(RUN, 0o700, exist_ok=True)
if os.lstat(RUN).st_uid != os.getuid() or os.lstat(RUN).st_mode & 0o170077 != 0o040000:  # anyone may write to /dev/shm
    raise PermissionError(f"{RUN}: must be open only to the user of the server; remove it, or set CONSOLE_RUN")
