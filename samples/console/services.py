"""Services of the device: listed, started and stopped by systemd, OpenRC or the scripts in /etc/init.d."""
import collections
import re
import time

from common import html, page, parameter, run
from fapws import HTTPError

INITS = [  # the command for the list, a line of the list, the command for one service
    ("systemctl list-units --type=service --all --plain --no-legend --no-pager --full",
     r"(?P<name>\S+)\.service +loaded +(?P<state>\S+) .*", "systemctl --no-ask-password {action} {name}.service"),
    ("rc-status --all --nocolor", r" (?P<name>\S+) +\[ +(?P<state>\w+).*\]", "rc-service {name} {action}"),
    ("service --status-all", r" \[ (?P<state>[+?-]) \] +(?P<name>\S+)", "service {name} {action}"),
]
STATES = {"active": "running", "started": "running", "+": "running", "inactive": "stopped", "-": "stopped",
          "?": "unknown"}

def find():
    """({service: state}, the command for one service), by the first init system that works."""
    problems = ["The console finds no services on this device."]
    for command, line, action in INITS:
        try:
            found = [re.fullmatch(line, row.rstrip()) for row in run(command.split()).splitlines()]
            return {one["name"]: STATES.get(one["state"], one["state"]) for one in found if one}, action
        except HTTPError as error:
            problems.append(error.text)
    raise HTTPError(501, " ".join(problems))

def control(name, action):
    found, command = find()
    if name not in found or action not in ("start", "stop", "restart"):  # nothing else reaches the command
        raise HTTPError(400, "No such service.")
    run([word.format(name=name, action=action) for word in command.split()], root=True)
    if action != "stop":
        time.sleep(1)  # the command succeeds when the service is started, whether or not it can go on
        state = find()[0].get(name, "unknown")
        if state != "running":
            raise HTTPError(500, f"{name} did not keep running: it is {state} a second after the {action}. "
                                 "The logs may have the reason.")

@page("Services", "/services")
def services(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        control(parameter(environ, "name"), parameter(environ, "action"))
        start_response("303 See Other", [("Location", "services")])  # a reload of the page does not send it again
    found, _ = find()
    numbers = collections.Counter(found.values()).most_common()
    return html("services", summary=", ".join(f"{number} {state}" for state, number in numbers),
                services=[html("service", name=name, state=state) for name, state in sorted(found.items())])
