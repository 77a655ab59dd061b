"""The settings of the device: checked, kept in a file, applied by a command; one file to download and to restore.

A change of the network that nobody confirms at the new address is taken back.
"""
import ipaddress
import json
import os
import re
import time
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from common import (DATA, attempt, field_errors, hostname, html, lines, notices, page, parameter, publishes, run,
                    setting_words, write)
from fapws import HTTPError, defer, timer

FILE, PENDING, BACK = (DATA / name for name in ("settings.json", "pending.json", "taken-back"))
CONFIRM, NETWORK_FIELDS = int(os.environ["CONSOLE_CONFIRM"]), ("address", "gateway", "dns")
DONE = {"saved": "Saved.", "restored": "The settings are restored.", "kept": "Kept."}
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 §2.1
ZONE_FILES = "/usr/share/zoneinfo/"
ZONES = sorted(row.split("\t")[2] for row in lines(ZONE_FILES + "zone1970.tab") if row[:1].isalpha())
# the variable TZ of POSIX: the names of a zone and of its summer time, with offsets, and the days when they change
ZONE, OFFSET = "([A-Za-z]{3,9}|<[A-Za-z0-9+-]{3,9}>)", r"[+-]?\d{1,3}(:\d\d){0,2}"
RULE = rf"{ZONE}{OFFSET}({ZONE}({OFFSET})?(,(M(1[0-2]|[1-9])\.[1-5]\.[0-6]|J?\d{{1,3}})(/{OFFSET})?){{2}})?"

def interface(text):
    return "/" in text and ipaddress.ip_interface(text).network.prefixlen

def host(text):
    return re.fullmatch(rf"(?=.{{1,253}}$)({LABEL}\.)*(?!\d+$){LABEL}", text) or ipaddress.ip_address(text)

def zone(text):
    known = text == "Etc/UTC" or re.fullmatch(RULE, text)
    return known or "." not in text and lines(ZONE_FILES + text)[0].startswith("TZif")

FIELDS = {  # name: (label, default, allowed numbers of words, function that checks a word, what a word must be)
    "hostname": ("Host name", hostname().split(".")[0], [1], re.compile(LABEL).fullmatch, "a host name"),
    "zone": ("Time zone", "Etc/UTC", [1], zone, "a rule, or a time zone that the device knows"),
    "ntp": ("Time servers", "pool.ntp.org", range(5), host, "a name or an address"),
    "address": ("Address", "", [0, 1], interface, "an address with its network, such as 192.168.1.2/24"),
    "gateway": ("Gateway", "", [0, 1], ipaddress.ip_address, "an address"),
    "dns": ("Name servers", "", range(4), ipaddress.ip_address, "an address"),
}

def mistake(name, text):
    """Returns what is wrong with a setting, or ""."""
    if name not in FIELDS or not isinstance(text, str):
        return "Unknown to this device, or not a text."
    _, _, numbers, check, kind = FIELDS[name]
    for word in text.split():
        with suppress(ValueError):  # rejected by ipaddress
            if check(word):
                continue
        near = get_close_matches(word, ZONES, 1) if name == "zone" else []
        return f"{word[:60]} is not {kind}." + "".join(f" Did you mean {one}?" for one in near)
    if len(text.split()) in numbers:
        return ""
    if not text:
        return f"Enter {kind}."
    return f"Enter at most {max(numbers)}." if max(numbers) > 1 else "Leave out the spaces."

def misplaced(name, values):
    """Returns why the device cannot have this address or gateway, or ""."""
    own, one = ipaddress.ip_interface(values["address"]), ipaddress.ip_address(values[name].partition("/")[0])
    usable = f"enter one of {own.network[1]} to {own.network[-2]}" if own.network.num_addresses > 2 else ""
    reasons = {
        "the address of the device itself": name == "gateway" and one == own.ip,
        f"outside the network {own.network}": one not in own.network and not one.is_link_local,
        "reserved: a device cannot have it": one.is_loopback or one.is_multicast or one.is_unspecified or one.is_reserved,
        f"the network itself: {usable}": usable and one == own.network[0],
        f"the broadcast address: {usable}": usable and one == own.network[-1] and one.version == 4,
    }
    return next((f"{one} is {reason}." for reason, applies in reasons.items() if applies), "")

def mistakes(values):
    """Returns {name: what is wrong with it} for settings that are unknown or wrong."""
    found = {name: mistake(name, text) for name, text in values.items()}
    if not found["address"] and not found["gateway"] and values["address"]:
        found.update((name, misplaced(name, values)) for name in ("address", "gateway") if values[name])
    return {name: text for name, text in found.items() if text}

def load():
    """Returns the settings of the file, with defaults for missing settings or a damaged file."""
    values = {name: default for name, (_, default, *_) in FIELDS.items()}
    with suppress(OSError, ValueError, TypeError, AttributeError):
        values.update((name, str(value)) for name, value in json.loads(FILE.read_text()).items() if name in FIELDS)
    return values

def pending():
    """Returns the change of the network that waits for a confirmation, with the seconds that are left, or None."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        change = json.loads(PENDING.read_text())
        return {**change, "left": change["until"] - time.clock_gettime(time.CLOCK_BOOTTIME)}

def wait(change, seconds=CONFIRM):
    write(PENDING, json.dumps({**change, "until": time.clock_gettime(time.CLOCK_BOOTTIME) + seconds}))

def apply(values):
    write(FILE, json.dumps(values, indent=1))
    if command := setting_words("APPLY"):
        run(command, json.dumps(values), root=True)

def save(values):
    """Keeps and applies settings, or neither. Those of the network are applied after the response to the old address."""
    old = load()
    if not setting_words("APPLY") or all(old[name] == values[name] for name in NETWORK_FIELDS):
        try:
            return apply(values)
        except HTTPError as error:
            result = "Nothing was changed."
            try:
                apply(old)  # the command may have changed a part
            except HTTPError:
                result = "The device has refused the old settings, too, and may have a part of the new ones."
            raise HTTPError(error.status, f"{result} {error.text}") from None
    change = {"old": old, **(pending() or {}), "new": values, "applied": False, "reason": ""}
    wait(change)
    write(FILE, json.dumps(values, indent=1))  # for the page that follows
    defer(apply_later, change)

def apply_later(change):
    time.sleep(2)  # The browser loads the page with the question from the old address.
    try:
        apply(change["new"])
        wait({**change, "applied": True})
    except HTTPError as error:
        wait({**change, "reason": error.text}, 0)

@timer(1)
def roll_back():
    """Restores the old network settings if nobody has confirmed the new ones, they fail, or the device restarts."""
    change = pending()
    if change and not 0 < change["left"] <= CONFIRM and publishes():
        with suppress(HTTPError, OSError):  # otherwise try again
            apply({**load(), **{name: change["old"][name] for name in NETWORK_FIELDS}})
            write(BACK, change["reason"] or f"nobody confirmed the new settings within {CONFIRM} seconds")
            PENDING.unlink()

def arrival(environ, change):
    """Returns (new URL of the console, whether to log in there, whether the request has arrived there)."""
    here, port = re.fullmatch(r"(.*?)(:\d+)?", environ.get("HTTP_HOST", "")).groups("")
    old, new = (change[one]["address"].partition("/")[0] for one in ("old", "new"))
    name = change["new"]["hostname"] + "."
    host = f"[{new}]" if ":" in new else new or (here if here.startswith(name) else name + "local")
    by_address = re.fullmatch(r"[\d.]+|\[.*", here)  # a name leads to the device wherever it is
    arrived = not by_address or (here == host if new else here.strip("[]") != old)
    return f"{environ['wsgi.url_scheme']}://{host}{port}", host != here, arrived and change["applied"]

def ask(environ, root):
    """Returns the question whether to keep the new network settings, or the news that the old settings are back."""
    if change := pending():
        url, login, arrived = arrival(environ, change)
        return html("confirm" if arrived else "elsewhere", seconds=max(0, int(change["left"])),
                    url=f"{url}{root}/settings", login=", log in there again," * login)
    with suppress(FileNotFoundError):
        reason = BACK.read_text()
        BACK.unlink()
        return html("back", reason=reason)
    return ""

notices.append(ask)

@page("Settings", "/settings", "/settings/confirm")
def confirm(environ, start_response):
    """Keeps the network settings if the request has arrived at the new address."""
    change = pending()
    if not change or environ["REQUEST_METHOD"] != "POST":
        raise HTTPError(303, headers={"Location": "../settings"})
    url, _, arrived = arrival(environ, change)
    if not arrived:
        raise HTTPError(409, f"Not confirmed: this page is not open at the new address. Open {url} and confirm there.")
    PENDING.unlink(missing_ok=True)
    raise HTTPError(303, headers={"Location": "../settings?done=kept"})

def form(values, wrong={}, note="", problem=""):
    return html("settings", note=note, applied="hidden" if setting_words("APPLY") else "", problem=problem,
                zones=["<option>" + one for one in ZONES],
                confirmed="" if setting_words("APPLY") else "hidden",
                dhcp="" if values["address"] or "address" in wrong else "checked", device=hostname(),
                date=time.strftime("%Y-%m-%d"), **values, **field_errors(FIELDS, wrong))

def keep(values, done, start_response):
    """Saves settings, and redirects to the page, so that a reload of the page does not send the form again."""
    if problem := attempt(start_response, save, values):
        return form(values, problem=problem)
    raise HTTPError(303, headers={"Location": f"settings?done={done}"})

@page("Settings", "/settings")
def settings(environ, start_response):
    values, done, dhcp = load(), parameter(environ, "done"), parameter(environ, "dhcp")
    if environ["REQUEST_METHOD"] != "POST":
        applied = done in ("saved", "restored") and bool(setting_words("APPLY")) and not pending()
        lacks = ", ".join(FIELDS[name][0] for name in parameter(environ, "lacks").split() if name in FIELDS)
        return form(values, note=DONE.get(done, "") + " The device has applied them." * applied +
                    f" Not in the file, and as before: {lacks}." * bool(lacks))
    values = {name: parameter(environ, name, values[name]) for name in FIELDS}
    if dhcp:
        values.update(address="", gateway="")
    wrong = {**({} if dhcp or values["address"] else {"address": "Enter one, or turn on DHCP."}), **mistakes(values)}
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
        given = json.loads(Path(environ["fapws.upload"].file.path).read_text())
        values = {**load(), **given} if given.keys() & FIELDS else None  # of something else
        problem = " ".join(f"{FIELDS.get(name, [name])[0]}: {text}" for name, text in mistakes(values).items())[:300]
        lacks = "+".join(name for name in FIELDS if name not in given)  # a backup of an older version
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        problem = "This file is not a backup, or is damaged."
    if problem:
        raise HTTPError(422, f"Nothing was restored. {problem}")
    return keep(values, "restored" + f"&lacks={lacks}" * bool(lacks), start_response)
