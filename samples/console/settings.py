"""The settings of the device: checked, kept in a file, applied by a command; one file to download and to restore."""
import ipaddress
import json
import re
import time
from contextlib import suppress
from pathlib import Path

from common import DATA, html, hostname, page, parameter, run, words, write
from fapws import HTTPError

FILE = Path(DATA, "settings.json")
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 §2.1

def interface(text):
    return "/" in text and ipaddress.ip_interface(text).ip != ipaddress.ip_interface(text).network.network_address

def host(text):
    return re.fullmatch(rf"({LABEL}\.)*{LABEL}", text) or ipaddress.ip_address(text)

def zone(text):
    return text == "Etc/UTC" or "." not in text and Path("/usr/share/zoneinfo/" + text).is_file()

FIELDS = {  # name: default, check of a word, possible numbers of words
    "hostname": (hostname().split(".")[0], re.compile(LABEL).fullmatch, [1]),
    "zone": ("Etc/UTC", zone, [1]),
    "ntp": ("pool.ntp.org", host, range(5)),
    "address": ("", interface, [0, 1]),
    "gateway": ("", ipaddress.ip_address, [0, 1]),
    "dns": ("", ipaddress.ip_address, range(4)),
}

def fits(name, text):
    with suppress(KeyError, AttributeError, ValueError):  # unknown; no text; ValueError: of ipaddress
        _, check, numbers = FIELDS[name]
        return len(text.split()) in numbers and all(map(check, text.split())) and len(text) <= 300

def mistakes(values):
    """The names of settings that are missing, unknown or wrong."""
    return [name for name in {**FIELDS, **values} if not fits(name, values.get(name))]

def load():
    """The settings of the file; defaults for those that it does not have, or if it is damaged."""
    values = {name: default for name, (default, *_) in FIELDS.items()}
    with suppress(OSError, ValueError, TypeError, AttributeError):
        values.update((name, str(value)) for name, value in json.loads(FILE.read_text()).items() if name in FIELDS)
    return values

def save(values):
    write(FILE, json.dumps(values, indent=1))
    if words("APPLY"):
        run(words("APPLY"), json.dumps(values), root=True)

@page("Settings", "/settings")
def settings(environ, start_response):
    values, wrong, note = load(), [], ""
    if environ["REQUEST_METHOD"] == "POST":
        values = {name: parameter(environ, name, values[name]) for name in FIELDS}
        wrong = mistakes(values)
        if wrong:
            start_response("422 Unprocessable Content", [])
        else:
            save(values)
            note = "Saved."
    marks = {name + "_wrong": str(name in wrong).lower() for name in FIELDS}
    return html("settings", note=note, device=hostname(), date=time.strftime("%Y-%m-%d"), **values, **marks)

def backup(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Disposition", "attachment")])
    return [json.dumps(load(), indent=1).encode()]

@page("Settings", "/settings")
def restore(environ, start_response):
    try:
        values = json.loads(Path(environ["fapws.upload"].file.path).read_text())
        wrong = mistakes(values)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise HTTPError(422, "Nothing was restored: this file is not a backup, or is damaged.") from None
    if wrong:
        raise HTTPError(422, "Nothing was restored. Missing, unknown or wrong: " + ", ".join(wrong)[:300])
    save(values)
    return html("restored")
