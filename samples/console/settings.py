"""The settings of the device: checked, kept in a file, applied by a command; and one file to download and to restore them from."""
import ipaddress
import json
import os
import re
import time
from contextlib import suppress
from html import escape
from pathlib import Path

from common import APPLY, DATA, ROOT, field, hostname, page, parameter, posted, run, write
from fapws import HTTPError

FILE, FORMAT = Path(DATA, "settings.json"), "console settings 1"
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 §2.1

def interface(text):
    return "/" in text and ipaddress.ip_interface(text).ip != ipaddress.ip_interface(text).network.network_address

def host(text):
    return re.fullmatch(rf"({LABEL}\.)*{LABEL}", text) or ipaddress.ip_address(text)

def zone(text):
    return text == "Etc/UTC" or re.fullmatch(r"[\w+-]+(/[\w+-]+)*", text, re.A) and os.path.isfile("/usr/share/zoneinfo/" + text)

# name: label, default, check for each word, possible numbers of words, message
FIELDS = {
    "hostname": ("Host name", hostname().split(".")[0], re.compile(LABEL).fullmatch, [1], "Must have up to 63 letters, digits and inner hyphens."),
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

@page("Settings")
def settings(environ, start_response):
    values, wrong, note = load(), [], ""
    if posted(environ):
        values = {name: parameter(environ, name, values[name]) for name in FIELDS}
        if wrong := mistakes(values):
            start_response("422 Unprocessable Content", [])
        else:
            save(values)
            note = '<p class="note" role="status">Saved.</p>'
    fields = "".join(field(label, f'value="{escape(values[name])}" maxlength="300" spellcheck="false" autocomplete="off"', name, message * (name in wrong))
                     for name, (label, *_, message) in FIELDS.items())
    return note + f"""<div class="columns"><form class="card fields" method="post"><h2>Device</h2>{fields}<button class="main">Save</button></form>
<form id="restore" class="card fields" method="post" action="restore" enctype="multipart/form-data"><h2>Backup</h2><p>One file with all settings, to keep elsewhere.</p>
<a class="button" href="backup" download>Download</a><h2>Restore</h2><p>The file is checked as a whole before anything is replaced.</p>
<label>File of a backup <input type="file" name="file" accept=".json" required></label><button>Restore</button></form></div>"""

def backup(environ, start_response):
    name = f"settings-{hostname()}-{time.strftime('%Y-%m-%d')}.json"
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Disposition", f'attachment; filename="{name}"')])
    return [json.dumps({"format": FORMAT, "settings": load()}, indent=1).encode()]

@page("Settings")
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
    return '<div class="card"><p class="note" role="status">All settings are restored.</p><p><a class="button" href="settings">Settings</a></p></div>'
