"""The settings of the device: checked, kept in a file, applied by a command; one file to download and to restore."""
import ipaddress
import json
import re
import time
from contextlib import suppress
from pathlib import Path

from common import DATA, attempt, html, hostname, page, parameter, run, words, write
from fapws import HTTPError

FILE = Path(DATA, "settings.json")
UNAPPLIED = "Nothing applies the settings: they are only kept, because CONSOLE_APPLY is not set in device.env."
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

def save(values):
    write(FILE, json.dumps(values, indent=1))
    if words("APPLY"):
        try:
            run(words("APPLY"), json.dumps(values), root=True)
        except HTTPError as error:
            raise HTTPError(error.status, f"Kept, but not applied: {error.text}") from None

def form(values, wrong=(), note="", problem="", refused=""):
    marks = {name + "_wrong": str(name in wrong).lower() for name in FIELDS}
    return html("settings", note=note, problem=problem, refused=refused, device=hostname(),
                date=time.strftime("%Y-%m-%d"), dhcp="" if values["address"] or "address" in wrong else "checked",
                warning="" if words("APPLY") else UNAPPLIED, **values, **marks)

def keep(values, done, start_response):
    """Saves settings, and returns the page, which says what has happened."""
    if problem := attempt(start_response, save, values):
        return form(values, problem=problem)
    return form(values, note=done + (" The device has applied them." if words("APPLY") else ""))

@page("Settings", "/settings")
def settings(environ, start_response):
    values = load()
    if environ["REQUEST_METHOD"] != "POST":
        return form(values)
    values = {name: parameter(environ, name, values[name]) for name in FIELDS}
    if parameter(environ, "dhcp"):
        values.update(address="", gateway="")
    wrong = mistakes(values) + ([] if values["address"] or parameter(environ, "dhcp") else ["address"])
    if not wrong:
        return keep(values, "Saved.", start_response)
    start_response("422 Unprocessable Content", [])
    return form(values, wrong, problem="Nothing was saved: correct the marked fields.")

def backup(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Disposition", "attachment")])
    return [json.dumps(load(), indent=1).encode()]

@page("Settings", "/settings")
def restore(environ, start_response):
    try:
        values = json.loads(Path(environ["fapws.upload"].file.path).read_text())
        wrong = mistakes(values)
        problem = "Missing, unknown or wrong: " + ", ".join(wrong)[:300]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        wrong, problem = True, "This file is not a backup, or is damaged."
    if not wrong:
        return keep(values, "All settings are restored.", start_response)
    start_response("422 Unprocessable Content", [])
    return form(load(), refused=f"Nothing was restored. {problem}")
