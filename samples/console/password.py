"""The password of the user who has logged in."""
import os
import sys
import threading
import time

from common import USERS, html, page, parameter, posted, run
from fapws import HTTPError

SERVER = [sys.executable, "-m", "fapws"] if "python" in os.readlink("/proc/self/exe") else ["/proc/self/exe"]
guess = threading.Lock()

def user(command, name, password):
    run([*SERVER, "user", "-f", str(USERS), command, name], password.split("\n")[0] + "\n")

def change(name, old, new, again):
    """Changes the password of a user. Returns what is wrong, or ""."""
    if new != again:
        return "The two passwords differ."
    with guess:  # one after another, so that a session that is left open is of little use for guessing
        try:
            user("check", name, old)
        except HTTPError:
            time.sleep(1)
            return "This is not your present password."
    try:
        user("passwd", name, new)
    except HTTPError as error:
        return error.text.split(": ", 3)[-1].split(" (")[0].capitalize() + "."
    return ""

@page("Password", "/password")
def password(environ, start_response):
    name, note, wrong = environ["REMOTE_USER"], "", ""
    if posted(environ):
        fields = environ["fapws.params"]
        wrong = change(name, *(fields.get(field, [""])[0] for field in ("old", "new", "again")))
        if not wrong:  # all sessions of this user have ended: the browser gets the form for logging in
            raise HTTPError(303, headers={"Location": "password?changed=1"})
        start_response("422 Unprocessable Content", [])
    elif parameter(environ, "changed"):
        note = "Your password is changed."
    return html("password", name=name, note=note, wrong=wrong)
