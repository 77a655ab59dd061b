"""The admin console of a small device, to copy and change; README.md explains it.

fapws      then open http://127.0.0.1:8888/
"""
import os

from common import HERE, MISSING, RUN, USERS, attempt, field_errors, html, page, run, setting_words
from fapws import Login, channel, upload, users
from fapws.contrib.views import Staticfile
from firmware import IMAGE, check, firmware, install
from logs import live_lines, logs
from services import services
from settings import backup, confirm, restore, settings
from terminal import shell, terminal
from values import dashboard, latest

PASSWORDS = "old", "new", "again"  # the fields of the form

@page("Reboot", "/reboot")
def reboot(environ, start_response):
    if environ["REQUEST_METHOD"] != "POST":
        return html("reboot", problem="")
    if problem := attempt(start_response, run, setting_words("REBOOT"), root=True):
        return html("reboot", problem=f"Not restarted: {problem}")
    return html("overview", note="The device restarts. This page continues when it is back.", latest=latest())

@page("Password", "/password")
def password(environ, start_response):
    name, wrong = environ["REMOTE_USER"], {}
    if environ["REQUEST_METHOD"] == "POST":
        old, new, again = (environ["fapws.params"].get(field, [""])[0] for field in PASSWORDS)
        try:
            if not users.check(USERS, name, old):
                wrong = {"old": "This is not your current password."}
            elif new != again:
                wrong = {"again": "This is not the same as the new password."}
            else:
                users.set(USERS, name, new)
                return html("changed")
        except (OSError, ValueError) as error:
            wrong = {"new": f"Not accepted: {error}."}
        start_response("422 Unprocessable Content", [])
    return html("password", name=name, problem="Nothing was changed." * bool(wrong), **field_errors(PASSWORDS, wrong))

# each page, after its actions and streams: the server takes the first entry with which a path begins
ENTRIES = [
    ("/services", services), ("/logs/live", live_lines), ("/logs", logs),
    ("/terminal/shell", shell), ("/terminal", terminal),
    ("/settings/confirm", confirm), ("/settings", settings), ("/backup", backup),
    ("/restore", upload(f"{RUN}/restore.json", restore, max_size="64K")),
    ("/firmware-image", upload(IMAGE, check, max_size=os.environ["CONSOLE_FIRMWARE_SIZE"], sync="4M")),
    ("/firmware/install", install), ("/firmware", firmware),
    ("/password", password), ("/reboot", reboot), ("/www", Staticfile(HERE / "www")),
    ("/values", channel("values")), ("/", dashboard),
]
PATHS = [(path, Login(entry, USERS, title="Console")) for path, entry in ENTRIES
         if not path.startswith(tuple(MISSING))]
