"""The settings of the device: checked, kept in a file, applied by a command; one file to download and to restore."""
import ipaddress
import json
import re
import time
from contextlib import suppress
from pathlib import Path

from common import (CONFIRM, DATA, PENDING, attempt, html, hostname, page, parameter, pending, publishes, run, words,
                    write)
from fapws import HTTPError, defer, timer

FILE = DATA / "settings.json"
UNAPPLIED = "The device keeps the settings, but does not apply them: its maker has not set CONSOLE_APPLY (device.env)."
DONE = {"saved": "Saved.", "restored": "All settings are restored."}
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 §2.1

def interface(text):
    return "/" in text and ipaddress.ip_interface(text).ip != ipaddress.ip_interface(text).network.network_address

def host(text):
    return re.fullmatch(rf"({LABEL}\.)*{LABEL}", text) or ipaddress.ip_address(text)

def zone(text):
    return text == "Etc/UTC" or "." not in text and Path("/usr/share/zoneinfo/" + text).is_file()

FIELDS = {  # name: (default, function that checks one word, allowed numbers of words)
    "hostname": (hostname().split(".")[0], re.compile(LABEL).fullmatch, [1]),
    "zone": ("Etc/UTC", zone, [1]),
    "ntp": ("pool.ntp.org", host, range(5)),
    "address": ("", interface, [0, 1]),
    "gateway": ("", ipaddress.ip_address, [0, 1]),
    "dns": ("", ipaddress.ip_address, range(4)),
}

def fits(name, text):
    with suppress(KeyError, AttributeError, ValueError):  # unknown name; not a str; rejected by ipaddress
        _, check, numbers = FIELDS[name]
        return len(text.split()) in numbers and all(map(check, text.split())) and len(text) <= 300

def mistakes(values):
    """Returns the names of settings that are missing, unknown or wrong."""
    return [name for name in {**FIELDS, **values} if not fits(name, values.get(name))]

def load():
    """Returns the settings of the file, with defaults for missing settings or a damaged file."""
    values = {name: default for name, (default, *_) in FIELDS.items()}
    with suppress(OSError, ValueError, TypeError, AttributeError):
        values.update((name, str(value)) for name, value in json.loads(FILE.read_text()).items() if name in FIELDS)
    return values

def apply(values):
    write(FILE, json.dumps(values, indent=1))
    if words("APPLY"):
        run(words("APPLY"), json.dumps(values), root=True)

def network(values):
    return {name: values[name] for name in ("address", "gateway", "dns")}

def save(values):
    if words("APPLY") and network(values) != network(load()):
        if not pending():
            until = time.clock_gettime(time.CLOCK_BOOTTIME) + CONFIRM
            write(PENDING, json.dumps({"old": network(load()), "until": until}))
        write(FILE, json.dumps(values, indent=1))  # for the page that follows
        defer(apply_later, values)
        return
    try:
        apply(values)
    except HTTPError as error:
        raise HTTPError(error.status, f"Kept, but not applied: {error.text}") from None

def apply_later(values):
    time.sleep(1)  # the response goes to the old address
    with suppress(HTTPError):  # roll_back follows
        apply(values)

@timer(1)
def roll_back():
    """Restores the old network settings if nobody has confirmed the new settings in time, or if the device restarts."""
    kept = pending()
    if kept and not 0 < kept[1] <= CONFIRM and publishes():
        with suppress(HTTPError, FileNotFoundError):  # otherwise try again
            apply({**load(), **kept[0]})
            PENDING.unlink()

@page("Settings", "/settings", "/settings/confirm")
def confirm(environ, start_response):
    """Keeps the network settings if the request has arrived at the new address."""
    kept, host = pending(), environ["HTTP_HOST"].rsplit(":", 1)[0].strip("[]")
    if environ["REQUEST_METHOD"] == "POST" and kept:
        old, new = (address.partition("/")[0] for address in (kept[0]["address"], load()["address"]))
        with suppress(ValueError):
            if ipaddress.ip_address(host) and (host == old or new and host != new):
                raise HTTPError(409, f"Open the console at {new or 'the new address'}, and confirm there.")
        PENDING.unlink()
    start_response("303 See Other", [("Location", "../settings")])
    return ""

def form(values, wrong=(), note="", problem="", refused=""):
    marks = {name + "_wrong": str(name in wrong).lower() for name in FIELDS}
    return html("settings", note=note, problem=problem, refused=refused, device=hostname(),
                date=time.strftime("%Y-%m-%d"), dhcp="" if values["address"] or "address" in wrong else "checked",
                warning="" if words("APPLY") else UNAPPLIED, **values, **marks)

def keep(values, done, start_response):
    """Saves settings, and redirects to the page, so that a reload of the page does not send the form again."""
    if problem := attempt(start_response, save, values):
        return form(values, problem=problem)
    start_response("303 See Other", [("Location", f"settings?done={done}")])
    return ""

def report(done, values):
    """Returns what the page says after a change."""
    if done not in DONE or not pending():
        return DONE.get(done, "") + " The device has applied them." * bool(done in DONE and words("APPLY"))
    address = values["address"].partition("/")[0] or "the new address"
    return f"{DONE[done]} The network changes in a second. Open {address} within {CONFIRM} seconds, and confirm there."

@page("Settings", "/settings")
def settings(environ, start_response):
    values = load()
    if environ["REQUEST_METHOD"] != "POST":
        return form(values, note=report(parameter(environ, "done"), values))
    values = {name: parameter(environ, name, values[name]) for name in FIELDS}
    if parameter(environ, "dhcp"):
        values.update(address="", gateway="")
    wrong = mistakes(values) + ([] if values["address"] or parameter(environ, "dhcp") else ["address"])
    if not wrong:
        return keep(values, "saved", start_response)
    start_response("422 Unprocessable Content", [])
    return form(values, wrong, problem="Nothing was saved: correct the marked fields.")

def backup(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Disposition", "attachment")])
    return [json.dumps(load(), indent=1).encode()]

@page("Settings", "/settings", "/restore")
def restore(environ, start_response):
    try:
        values = json.loads(Path(environ["fapws.upload"].file.path).read_text())
        wrong = mistakes(values)
        problem = "Missing, unknown or wrong: " + ", ".join(wrong)[:300]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        wrong, problem = True, "This file is not a backup, or is damaged."
    if not wrong:
        return keep(values, "restored", start_response)
    start_response("422 Unprocessable Content", [])
    return form(load(), refused=f"Nothing was restored. {problem}")
