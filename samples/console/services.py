"""Services of the device: listed, started and stopped by systemd, OpenRC or the scripts in /etc/init.d."""
import re
import shlex
import time
from contextlib import suppress
from urllib.parse import urlencode

from common import attempt, html, page, parameter, run
from fapws import HTTPError

# for each init system: the command that lists services, the pattern of a line of its output, and the command that
# starts or stops a service
INITS = [
    ("systemctl list-units --type=service --all --plain --no-legend --no-pager --full",
     r"(?P<name>\S+)\.service +loaded +(?P<state>\S+) .*", "systemctl --no-ask-password {action} {name}.service"),
    ("rc-status --all --nocolor", r" (?P<name>\S+) +\[ +(?P<state>\w+).*\]", "rc-service {name} {action}"),
    ("service --status-all", r" \[ (?P<state>[+?-]) \] +(?P<name>\S+)", "service {name} {action}"),
    # Only a script of OpenWrt can report its state. Another script may start something.
    ("""sh -c 'for file in /etc/init.d/*; do state=unknown; [ -x $file ] || continue; grep -q ^#!.*/rc.common $file && {
        state=stopped; $file running && state=running; }; echo ${file##*/} $state; done 2> /dev/null'""",
     r"(?!rc[SK]? )(?P<name>[\w.@-]+) (?P<state>\w+)", "/etc/init.d/{name} {action}"),
]
STATES = {"active": "running", "started": "running", "+": "running", "inactive": "stopped", "-": "stopped",
          "?": "unknown"}
DONE = {"start": "Started.", "stop": "Stopped.", "restart": "Restarted."}

def find():
    """Returns ({service: state}, the command that starts or stops a service) of the first init system that works."""
    for command, line, action in INITS:
        with suppress(HTTPError):  # the device has another init system
            found = [re.fullmatch(line, row.rstrip()) for row in run(shlex.split(command)).splitlines()]
            return {one["name"]: STATES.get(one["state"], one["state"]) for one in found if one}, action
    raise HTTPError(501, "This device has neither systemd nor OpenRC nor scripts in /etc/init.d.")

def control(name, action):
    found, command = find()
    if name not in found or action not in DONE:  # reject unknown names, which must not reach the command
        raise HTTPError(400, "No such service.")
    run([word.format(name=name, action=action) for word in command.split()], root=True)
    if action != "stop":
        time.sleep(1)  # the service may fail shortly after a successful start
        if (state := find()[0].get(name, "unknown")) not in ("running", "unknown"):
            raise HTTPError(500, f"{name} did not keep running: it is {state} a second after the {action}.")

@page("Services", "/services")
def services(environ, start_response):
    search, name, action = (parameter(environ, field) for field in ("search", "name", "action"))
    note, problem = DONE.get(action, ""), ""
    if environ["REQUEST_METHOD"] == "POST":
        problem = attempt(start_response, control, name, action)
        if not problem:  # redirect, so that a reload of the page does not send the form again
            done = urlencode({"search": search, "name": name, "action": action})
            raise HTTPError(303, headers={"Location": f"services?{done}"})
    found, _ = find()
    rows = []
    for one, state in sorted(found.items()):
        hidden = "" if search.lower() in one.lower() else "hidden"
        rows.append(html("service", name=one, state=state, hidden=hidden))
        if one == name and (note or problem):
            rows.append(html("said", name=one, hidden=hidden, note="" if problem else note, problem=problem))
    states = sorted(found.values())
    return html("services", search=search, rows=rows, number=len(found), problem="" if name in found else problem,
                summary=", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)))
