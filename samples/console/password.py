"""The password of the user who has logged in."""
import os
import sys
import threading
import time
from html import escape

from common import USERS, field, page, parameter, posted, run
from fapws import HTTPError

SERVER = [sys.executable, "-m", "fapws"] if "python" in os.readlink("/proc/self/exe") else ["/proc/self/exe"]
FIELDS = {"old": ("Present password", "current"), "new": ("New password", "new"), "again": ("New password again", "new")}
guess = threading.Lock()

def change(environ):
    """Changes the password, and returns the name of a field with a mistake and a message, or None."""
    old, new, again = (environ["fapws.params"].get(name, [""])[0] for name in FIELDS)
    command = SERVER + ["user", "-f", USERS]
    if new != again:
        return "again", "The two passwords differ."
    with guess:  # one after another, so that a session that is left open is of little use for guessing
        try:
            run(command + ["check", environ["REMOTE_USER"]], old.split("\n")[0] + "\n")
        except HTTPError:
            time.sleep(1)
            return "old", "This is not your present password."
        try:
            run(command + ["passwd", environ["REMOTE_USER"]], new.split("\n")[0] + "\n")
        except HTTPError as error:
            return "new", error.text.split(": ", 3)[-1].split(" (")[0].capitalize() + "."

@page("Password")
def password(environ, start_response):
    wrong, message = (posted(environ) and change(environ)) or ("", "")
    if wrong:
        start_response("422 Unprocessable Content", [])
    elif posted(environ):  # all sessions of this user have ended: the browser gets the form for logging in
        raise HTTPError(303, headers={"Location": "password?changed=1"})
    fields = "".join(field(label, f'type="password" required autocomplete="{kind}-password"', name, message * (name == wrong)) for name, (label, kind) in FIELDS.items())
    return '<p class="note" role="status">Your password is changed.</p>' * bool(parameter(environ, "changed")) + f"""<form class="card fields" method="post">
<p>You are <b>{escape(environ["REMOTE_USER"])}</b>. A new password ends all your sessions.</p>{fields}<button class="main">Change</button></form>"""
