"""What all pages share: the settings of the device, which are the first thing to change for yours, its commands, and the frame."""
import os
import shlex
import subprocess
from html import escape

from fapws import HTTPError

def setting(name, default):
    return shlex.split(os.environ.get("CONSOLE_" + name, default))

ROOT = setting("ROOT", "")                         # put before commands that need root: "sudo -n"
APPLY = setting("APPLY", "")                       # gets the settings as JSON on standard input
INSTALL = setting("INSTALL", "")                   # installs a firmware, whose path is added
REBOOT = setting("REBOOT", "systemctl reboot")
SHELL = setting("SHELL", "/bin/sh -l")             # of the terminal
DATA, = setting("DATA", "data")                    # the directory of settings.json and firmware.bin
SYS, = setting("SYS", "/sys")
LOGS = setting("LOGS", "/var/log/syslog /var/log/messages /var/log/*.log /var/log/*/*.log")
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}
PAGES = {"Dashboard": "./", "Services": "services", "Logs": "logs", "Settings": "settings", "Firmware": "firmware", "Terminal": "terminal", "Reboot": "reboot"}
FRAME = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – {host}</title><link rel="icon" href="www/icon.svg"><link rel="stylesheet" href="www/console.css">
<header><b>{host}</b><nav aria-label="Pages">{links}
<form method="post" action="/_fapws/logout"><button>Log out</button></form></nav></header>
<main><h1>{title}</h1>{body}</main></html>
"""

def run(command, stdin=""):
    """Runs a command, without a shell, and returns its output. HTTPError: it has failed; the text is its error message."""
    try:
        done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
                              text=True, errors="replace", env=ENVIRONMENT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HTTPError(500, f"{command[0]}: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout or "failed").strip()[-1000:]
        rights = "" if ROOT or os.geteuid() == 0 else " (The server does not run as root: see Rights in README.md.)"
        raise HTTPError(500, f"{' '.join(command)}: {said}{rights}")
    return done.stdout

def page(title):
    """Decorator for a handler that returns the body of a page. An HTTPError becomes a message on the page."""
    def decorate(handler):
        def answer(environ, start_response):
            try:
                body = handler(environ, start_response)
            except HTTPError as error:
                if error.status < 400:
                    raise  # a redirect
                start_response(f"{error.status} {error.reason}", [])
                body = f'<p class="bad" role="alert">{escape(error.text)}</p><p><a href="{PAGES[title]}">Back</a></p>'
            links = "".join(f'<a href="{path}"{" aria-current=page" * (name == title)}>{name}</a> ' for name, path in PAGES.items())
            return FRAME.format(title=title, host=escape(os.uname().nodename), links=links, body=body)
        return answer
    return decorate

def posted(environ):
    return environ["REQUEST_METHOD"] == "POST"

def parameter(environ, name, default=""):
    return environ["fapws.params"].get(name, [default])[0].strip()
