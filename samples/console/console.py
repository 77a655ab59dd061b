"""The admin console of a small device, to copy and change; README.md explains it.

fapws      then open http://127.0.0.1:8888/
"""
import threading
import time

from common import HERE, RUN, USERS, attempt, html, page, run, words
from fapws import Login, channel, upload, users
from fapws.contrib.views import Staticfile
from firmware import IMAGE, check, firmware, install
from logs import live_lines, logs
from services import services
from settings import backup, confirm, restore, settings
from terminal import shell, terminal
from values import dashboard, latest

guess = threading.Lock()

@page("Reboot", "/reboot")
def reboot(environ, start_response):
    if environ["REQUEST_METHOD"] != "POST":
        return html("reboot", problem="")
    if problem := attempt(start_response, run, words("REBOOT"), root=True):
        return html("reboot", problem=f"Not restarted: {problem}")
    return html("overview", note="The device restarts. This page continues when it is back.", latest=latest())

def change(name, old, new, again):
    """Changes the password of a user. Raises ValueError with the reason if the new password is not accepted."""
    if new != again:
        raise ValueError("the two passwords differ")
    # Check one password at a time, so that nobody who finds an open session can quickly try many passwords.
    with guess:
        if not users.check(USERS, name, old):
            time.sleep(1)
            raise ValueError("this is not your current password")
    users.set(USERS, name, new)

@page("Password", "/password")
def password(environ, start_response):
    name, wrong = environ["REMOTE_USER"], ""
    if environ["REQUEST_METHOD"] == "POST":
        try:
            change(name, *(environ["fapws.params"].get(field, [""])[0] for field in ("old", "new", "again")))
            return html("changed")
        except (OSError, ValueError) as error:
            start_response("422 Unprocessable Content", [])
            wrong = f"Not changed: {error}."
    return html("password", name=name, wrong=wrong)

ENTRIES = [
    ("/values", channel("values")),
    ("/services", services),
    ("/logs/live", live_lines),
    ("/logs", logs),
    ("/settings/confirm", confirm),
    ("/settings", settings),
    ("/backup", backup),
    ("/restore", upload(f"{RUN}/restore.json", restore, max_size="64K")),
    ("/firmware-image", upload(IMAGE, check, max_size="512M", sync="4M")),
    ("/firmware/install", install),
    ("/firmware", firmware),
    ("/password", password),
    ("/terminal/shell", shell),
    ("/terminal", terminal),
    ("/reboot", reboot),
    ("/www", Staticfile(HERE / "www")),
    ("/", dashboard),
]
PATHS = [(path, Login(entry, USERS, title="Console")) for path, entry in ENTRIES]
