"""The settings of the device: checked, kept in a file, applied by a command; one file to download and to restore."""
import ipaddress
import json
import os
import re
import time
from contextlib import suppress
from pathlib import Path

from common import APPLY, DATA, ROOT, html, hostname, page, parameter, posted, run, write
from fapws import HTTPError

FILE, FORMAT = Path(DATA, "settings.json"), "console settings 1"
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 §2.1

def interface(text):
    return "/" in text and ipaddress.ip_interface(text).ip != ipaddress.ip_interface(text).network.network_address

def host(text):
    return re.fullmatch(rf"({LABEL}\.)*{LABEL}", text) or ipaddress.ip_address(text)

def zone(text):
    return re.fullmatch(r"[\w+-]+(/[\w+-]+)*", text, re.A) and os.path.isfile("/usr/share/zoneinfo/" + text) or text == "Etc/UTC"

# name: label, default, check for each word, possible numbers of words, message
FIELDS = {
    "hostname": ("Host name", hostname().split(".")[0], re.compile(LABEL).fullmatch, [1],
                 "Must have up to 63 letters, digits and inner hyphens."),
    "zone": ("Time zone", "Etc/UTC", zone, [1], "Must be a time zone such as Europe/Berlin."),
    "ntp": ("Time servers (NTP)", "pool.ntp.org", host, range(5), "Must be up to 4 names or addresses, with spaces between them."),
    "address": ("Network address (empty: DHCP)", "", interface, [0, 1], "Must be an address and its network, such as 192.168.1.2/24."),
    "gateway": ("Gateway", "", ipaddress.ip_address, [0, 1], "Must be an address such as 192.168.1.1."),
    "dns": ("Name servers (DNS)", "", ipaddress.ip_address, range(4), "Must be up to 3 addresses, with spaces between them."),
}

def fits(name, text):
    with suppress(KeyError, AttributeError, ValueError):  # unknown; no text; ValueError: of ipaddress
        _, _, check, numbers, _ = FIELDS[name]
        return len(text.split()) in numbers and all(map(check, text.split())) and len(text) <= 300

def mistakes(values):
    """The names of settings that are missing, unknown or wrong."""
    return [name for name in {**FIELDS, **values} if not fits(name, values.get(name))]

def load():
    """The settings of the file; defaults for those that it does not have, or if it is damaged."""
    values = {name: default for name, (_, default, *_) in FIELDS.items()}
    with suppress(OSError, ValueError, TypeError, AttributeError):
        values.update((name, str(value)) for name, value in json.loads(FILE.read_text()).items() if name in FIELDS)
    return values

def save(values):
    write(FILE, json.dumps(values, indent=1))
    if APPLY:
        run(ROOT + APPLY, json.dumps(values))

@page("Settings", "/settings")
def settings(environ, start_response):
    values, wrong, note = load(), [], ""
    if posted(environ):
        values = {name: parameter(environ, name, values[name]) for name in FIELDS}
        wrong = mistakes(values)
        if wrong:
            start_response("422 Unprocessable Content", [])
        else:
            save(values)
            note = "Saved."
    fields = [html("setting", name=name, label=label, value=values[name], invalid=str(name in wrong).lower(),
                   message=message * (name in wrong)) for name, (label, *_, message) in FIELDS.items()]
    return html("settings", note=note, fields=fields)

def backup(environ, start_response):
    name = f"settings-{hostname()}-{time.strftime('%Y-%m-%d')}.json"
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Disposition", f'attachment; filename="{name}"')])
    return [json.dumps({"format": FORMAT, "settings": load()}, indent=1).encode()]

@page("Settings", "/settings")
def restore(environ, start_response):
    try:
        kept = json.loads(Path(environ["fapws.upload"].file.path).read_text())
        values = kept["settings"] if kept["format"] == FORMAT else None
        wrong = mistakes(values)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise HTTPError(422, "Nothing was restored: this file is not a backup of this console, or is damaged.") from None
    if wrong:
        raise HTTPError(422, "Nothing was restored. Settings that are missing, unknown or wrong: " + ", ".join(wrong)[:300])
    save(values)
    return html("restored")
