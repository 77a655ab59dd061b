"""The overview: live values from /proc and /sys as server-sent events, and their last 30 minutes."""
import collections
import fcntl
import glob
import json
import os
import time
from contextlib import suppress
from html import escape
from pathlib import Path

from common import PROC, RUN, SYS, VERSION, lines, page, run, write
from fapws import HTTPError, channel, publish, timer

STEP, STEPS, MOST = 10, 180, 24  # seconds between two points of a curve; points; cards, because containers make interfaces without end
HISTORY = Path(RUN, "history.json")
before, latest, lock = (0, 0, 0, {}), {}, open(Path(RUN, "history.lock"), "w")
kept, points = {}, collections.defaultdict(list)  # what HISTORY has, if this worker writes it; the values since the last point

def firmware_version():
    return lines(VERSION)[0]

def wide(number, format):
    """A number that keeps its width when it changes: U+2007 is as wide as a digit."""
    return f"{number:{format}}".replace(" ", "\u2007")

def amount(n):
    """Three digits and a unit."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if n < 999.5 or unit == "TB":
            return f"{n:.{0 if unit == 'B' or n >= 99.95 else 1 if n >= 9.995 else 2}f}" + " " + unit
        n /= 1000

def counters():
    """(seconds, busy ticks and all ticks of the CPU, {interface: (bytes received, bytes sent)}), all since some start."""
    ticks = [int(n) for n in lines(PROC + "/stat")[0].split()[1:9]]
    network = (row.replace(":", " ").split() for row in lines(PROC + "/net/dev")[2:])
    network = {row[0]: (int(row[1]), int(row[9])) for row in network if row[0] != "lo" and int(row[1]) + int(row[9])}
    return time.monotonic(), sum(ticks) - ticks[3] - ticks[4], sum(ticks), network  # 3 and 4: idle, waiting for disks

def addresses():
    with suppress(HTTPError):  # this device has no such command
        return "\n".join(" ".join(row.split()[1:4:2]) for row in run("ip -o address show scope global".split()).splitlines())

def values():
    """{"cards": {name: [text, detail, values of its curves, their maximum]}, "facts": {name: text}}. Rates are averages since the last call, the first ones since the start of the device."""
    global before, latest
    new, uptime, disk = counters(), int(float(lines(PROC + "/uptime")[0].split()[0])), os.statvfs("/")
    seconds, busy, ticks = (now - then for now, then in zip(new[:3], before[:3]))
    if seconds < 1:
        return latest
    memory = {row.split(":")[0]: int(row.split()[1]) * 1024 for row in lines(PROC + "/meminfo") if row}
    cpu, minutes = 100 * busy / max(1, ticks), uptime // 60
    cards = {"CPU": [wide(cpu, "2.0f") + " %", "Load " + " · ".join(lines(PROC + "/loadavg")[0].split()[:3]), [cpu], 100]}
    for name, used, most in (("Memory", memory["MemTotal"] - memory["MemAvailable"], memory["MemTotal"]),
                             ("Disk", (disk.f_blocks - disk.f_bfree) * disk.f_frsize, disk.f_blocks * disk.f_frsize)):
        cards[name] = [wide(100 * used / most, "2.0f") + " %", f"{amount(used)} of {amount(most)}", [100 * used / most], 100]
    for zone in sorted(glob.glob(SYS + "/class/thermal/thermal_zone*")):
        with suppress(OSError, ValueError):  # of a sensor that is switched off
            degrees = int(Path(zone, "temp").read_text()) / 1000
            cards["Temperature"] = [wide(degrees, "4.1f") + " °C", lines(zone + "/type")[0], [degrees], 100]
    for name, counts in new[3].items():
        down, up = ((now - then) / seconds for now, then in zip(counts, before[3].get(name, (0, 0))))
        cards["Network " + name] = [f"↓ {amount(down)}/s", f"↑ {amount(up)}/s", [down, up], 0]
    before, latest = new, {"cards": dict(list(cards.items())[:MOST]), "facts": {
        "Model": lines(SYS + "/firmware/devicetree/base/model", SYS + "/class/dmi/id/product_name")[0],
        "System": "".join(row[12:].strip('"') + ", " for row in lines("/etc/os-release") if row.startswith("PRETTY_NAME=")) + lines(PROC + "/sys/kernel/osrelease")[0],
        "Firmware": firmware_version(), "Clock": time.strftime("%a %d %b %Y, %H:%M %Z"), "Up": f"{minutes // 1440} d {minutes // 60 % 24:02} h {minutes % 60:02} min"}}
    return latest

def written():
    """The latest values with their history: {curve: points}, of which the last one is of "step". They are ten seconds old at most."""
    with suppress(OSError, ValueError):
        return json.loads(HISTORY.read_text())
    return {**values(), "step": 0, "history": {}}

@timer(2)
def measure():
    """Measures, in the worker that has the lock: a curve has one writer."""
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    kept.update(kept or written())
    new, step, history = values(), int(time.time()) // STEP, kept["history"]
    for name, (_, _, curves, _) in new["cards"].items():
        for i, value in enumerate(curves):
            points[f"{name} {i}"].append(value)
    if step != kept["step"]:
        gap = [None] * min(STEPS, max(0, step - kept["step"] - 1))  # the server did not run
        kept["history"] = {name: (history.get(name, []) + gap + [float(f"{sum(some) / len(some):.3g}")])[-STEPS:] for name, some in points.items()}
        points.clear()
    kept.update(new, step=step)
    if history is not kept["history"]:
        write(HISTORY, json.dumps(kept, separators=(",", ":")))
    publish("values", {**new, "step": step})

def live(environ, start_response):
    return channel("values", start="data: " + json.dumps(written(), separators=(",", ":")) + "\n\n")

def cards():
    """The cards with their latest values, which the script goes on with."""
    now, html = {**written(), **values()}, ""
    for name, (text, detail, curves, most) in now["cards"].items():
        title, _, rest = name.partition(" ")
        gauge = f"""<svg class="gauge" viewBox="0 0 36 36" aria-hidden="true"><circle cx="18" cy="18" r="15" pathLength="100"/>
<circle class="level" cx="18" cy="18" r="15" pathLength="100" stroke-dasharray="{curves[0]:.0f} 100"/></svg>""" * bool(most)
        html += f"""<section class="card value" data-name="{escape(name)}" data-most="{most}"><h2>{title} <small>{escape(rest)}</small></h2>{gauge}
<p class="number">{text}</p><p class="detail">{detail or "&nbsp;"}</p><svg class="curve" viewBox="0 0 {STEPS - 1} 40" preserveAspectRatio="none" role="img"
aria-label="{escape(name)} in the last 30 minutes">{'<path class="area"/><path class="line"/>' * len(curves)}</svg></section>"""
    facts = "".join(f'<div><dt>{name}</dt><dd data-fact="{name}">{escape(text)}</dd></div>' for name, text in {**now["facts"], "Addresses": addresses()}.items() if text)
    return f"""<p id="state" class="live" role="status">Live · 30 min</p><div class="cards">{html}</div><section class="card"><h2>Device</h2>
<dl class="facts">{facts}</dl></section><script type="module" src="www/dashboard.js"></script>"""

@page("Overview")
def dashboard(environ, start_response):
    return cards()
