"""The settings of the device: checked, kept in a file, and applied by a command."""
import ipaddress
import json
import os
import re
import threading
from contextlib import suppress
from html import escape
from pathlib import Path

from common import APPLY, DATA, ROOT, page, parameter, posted, run
from fapws import HTTPError

FILE = Path(DATA, "settings.json")
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 §2.1
lock = threading.Lock()

def interface(text):
    return "/" in text and ipaddress.ip_interface(text).ip != ipaddress.ip_interface(text).network.network_address

def label(text):
    return re.fullmatch(LABEL, text)

def host(text):
    return len(text) < 254 and re.fullmatch(rf"({LABEL}\.)*{LABEL}", text) or ipaddress.ip_address(text)

def zone(text):
    return text == "Etc/UTC" or re.fullmatch(r"[\w+-]+(/[\w+-]+)*", text, re.A) and os.path.isfile("/usr/share/zoneinfo/" + text)

# name: label, default, check for each word, smallest and largest number of words, message
FIELDS = {
    "hostname": ("Host name", os.uname().nodename.split(".")[0], label, 1, 1, "Must have up to 63 letters, digits and inner hyphens."),
    "zone": ("Time zone", "Etc/UTC", zone, 1, 1, "Must be a time zone such as Europe/Berlin."),
    "ntp": ("Time servers (NTP)", "pool.ntp.org", host, 0, 4, "Must be up to 4 names or addresses, with spaces between them."),
    "address": ("Network address (empty: DHCP)", "", interface, 0, 1, "Must be an address and its network, such as 192.168.1.2/24."),
    "gateway": ("Gateway", "", ipaddress.ip_address, 0, 1, "Must be an address such as 192.168.1.1."),
    "dns": ("Name servers (DNS)", "", ipaddress.ip_address, 0, 3, "Must be up to 3 addresses, with spaces between them."),
}

def fits(name, text):
    _, _, check, least, most, _ = FIELDS[name]
    try:
        return least <= len(text.split()) <= most and all(map(check, text.split()))
    except ValueError:  # of ipaddress
        return False

def load():
    """The settings of the file; defaults for those that it does not have, or if it is damaged."""
    values = {name: field[1] for name, field in FIELDS.items()}
    with suppress(OSError, ValueError, TypeError, AttributeError):
        values.update((name, str(value)) for name, value in json.loads(FILE.read_text()).items() if name in FIELDS)
    return values

def save(values):
    """Writes the file so that it is complete after a power failure, the old or the new one, and applies it."""
    with lock:
        try:
            with open(f"{FILE}.new", "w") as file:
                json.dump(values, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{FILE}.new", FILE)
        except OSError as error:
            raise HTTPError(500, f"{FILE}: {error.strerror}") from None
        if APPLY:
            run(ROOT + APPLY, json.dumps(values))

@page("Settings")
def settings(environ, start_response):
    values, wrong, form = load(), (), '<form class="fields" method="post">'
    if posted(environ):
        values = {name: parameter(environ, name, values[name]) for name in FIELDS}
        wrong = [name for name in FIELDS if not fits(name, values[name])]
        if wrong:
            start_response("422 Unprocessable Content", [])
        else:
            save(values)
            form += '<p role="status">Saved.</p>'
    for name, (label, *_, message) in FIELDS.items():
        mark = f'aria-invalid="true" aria-describedby="{name}-wrong"' * (name in wrong)
        form += f'<label>{label} <input name="{name}" value="{escape(values[name])}" maxlength="300" {mark}>'
        form += f'<span class="bad" id="{name}-wrong">{message}</span></label>' if mark else "</label>"
    return form + "<button>Save</button></form>"

os.makedirs(DATA, exist_ok=True)
