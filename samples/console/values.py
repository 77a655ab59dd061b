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
from fapws import HTTPError, publish, timer

STEP, STEPS, MOST = 10, 180, 16  # seconds between two points of a curve; points; cards (containers make interfaces)
HISTORY = Path(RUN, "history.json")
before, latest, lock = (0, 0, 0, {}), {}, open(Path(RUN, "history.lock"), "w")
points = collections.defaultdict(list)  # {card: values since its last point}, in the worker that writes HISTORY

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

def values():
    """{card: (text, detail, values of its curves, their maximum)}. Rates are averages since the last call."""
    global before, latest
    new, disk = counters(), os.statvfs("/")
    seconds, busy, ticks = (now - then for now, then in zip(new[:3], before[:3]))
    if seconds < 1:
        return latest
    memory = {row.split(":")[0]: int(row.split()[1]) * 1024 for row in lines(PROC + "/meminfo") if row}
    load, cpu = lines(PROC + "/loadavg")[0].split()[:3], 100 * busy / max(1, ticks)
    cards = {"CPU": (wide(cpu, "2.0f") + " %", "Load " + " · ".join(load), [cpu], 100)}
    for name, unused, most in (("Memory", memory["MemAvailable"], memory["MemTotal"]),
                               ("Disk", disk.f_bfree * disk.f_frsize, disk.f_blocks * disk.f_frsize)):
        used = 100 * (most - unused) / most
        cards[name] = wide(used, "2.0f") + " %", f"{amount(most - unused)} of {amount(most)}", [used], 100
    for zone in sorted(glob.glob(SYS + "/class/thermal/thermal_zone*")):
        with suppress(OSError, ValueError):  # of a sensor that is switched off
            degrees = int(Path(zone, "temp").read_text()) / 1000
            cards["Temperature"] = wide(degrees, "4.1f") + " °C", lines(zone + "/type")[0], [degrees], 100
    for name, counts in new[3].items():
        down, up = ((now - then) / seconds for now, then in zip(counts, before[3].get(name, (0, 0))))
        cards["Network-" + name] = f"↓ {amount(down)}/s", f"↑ {amount(up)}/s", [down, up], 0
    before, latest = new, dict(list(cards.items())[:MOST])
    return latest

def facts():
    minutes = int(float(lines(PROC + "/uptime")[0].split()[0])) // 60
    system = [row[12:].strip('"') for row in lines("/etc/os-release") if row.startswith("PRETTY_NAME=")]
    return {"Model": lines(SYS + "/firmware/devicetree/base/model", SYS + "/class/dmi/id/product_name")[0],
            "System": ", ".join(system + lines(PROC + "/sys/kernel/osrelease")), "Firmware": lines(VERSION)[0],
            "Clock": time.strftime("%a %d %b %Y, %H:%M %Z"),
            "Up": f"{minutes // 1440} d {minutes // 60 % 24:02} h {minutes % 60:02} min"}

def addresses():
    with suppress(HTTPError):  # this device has no such command
        return "\n".join(" ".join(row.split()[1:4:2]) for row in run("ip -o address show scope global".split()).splitlines())

def changes(cards, curves):
    """What a page shows: {id of an element: text}, and {id@attribute: value}."""
    shown = facts()
    for name, (text, detail, now, most) in cards.items():
        shown[f"{name}-number"], shown[f"{name}-detail"] = text, detail
        shown[f"{name}-level@stroke-dasharray"] = f"{now[0]:.0f} 100"
        high = most or max([1] + sum(curves.get(name, []), []))
        for i, curve in enumerate(curves.get(name, [])):
            start, heights = STEPS - len(curve), (39 - 37 * min(1, value / high) for value in curve)
            path = "L".join(f"{n} {y:.1f}" for n, y in enumerate(heights, start))
            shown[f"{name}-{i}@d"] = f"M{start} 45L{path}V45"  # its ends are below the picture
    return shown

def history():
    """The step of the last points, and {card: the points of its curves}. It is in memory, and lost at a reboot."""
    with suppress(OSError, ValueError):
        return json.loads(HISTORY.read_text())
    return {"step": 0, "curves": {}}

@timer(2)
def measure():
    """Measures, in the worker that has the lock: a curve has one writer."""
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    cards, kept, step, curves = values(), history(), int(time.time()) // STEP, {}
    for name, card in cards.items():
        points[name].append(card[2])
    if step != kept["step"]:
        gap = [0] * min(STEPS, step - kept["step"] - 1)  # the server did not run
        for name, since in points.items():
            averages = [float(f"{sum(some) / len(some):.3g}") for some in zip(*since)]
            old = kept["curves"].get(name, [[]] * len(averages))
            curves[name] = [(curve + gap + [average])[-STEPS:] for curve, average in zip(old, averages)]
        points.clear()
        write(HISTORY, json.dumps({"step": step, "curves": curves}))
    publish("values", changes(cards, curves))

def cards():
    """The cards with their latest values, which events change."""
    now, html = values(), ""
    shown = changes(now, history()["curves"])
    for name, (text, detail, curves, most) in now.items():
        (title, _, interface), name = name.partition("-"), escape(name)
        gauge = f"""<svg class="gauge" viewBox="0 0 36 36" aria-hidden="true"><circle cx="18" cy="18" r="15" pathLength="100"/>
<circle class="level" id="{name}-level" cx="18" cy="18" r="15" pathLength="100" stroke-dasharray="{curves[0]:.0f} 100"/></svg>"""
        paths = "".join(f'<path id="{name}-{i}" d="{shown.get(f"{name}-{i}@d", "")}"/>' for i in range(len(curves)))
        html += f"""<section class="card value{" wide" * (not most)}" id="{name}"><h2>{title} <small>{escape(interface)}</small></h2>
{gauge * bool(most)}<p class="number" id="{name}-number">{text}</p><p class="detail" id="{name}-detail">{escape(detail)}</p>
<svg class="curve" viewBox="1 0 {STEPS - 3} 40" preserveAspectRatio="none" role="img" aria-label="{title} {escape(interface)} in the last 30 minutes">
{paths}</svg></section>"""
    rows = "".join(f'<div><dt>{name}</dt><dd id="{name}">{escape(text)}</dd></div>'
                   for name, text in {**facts(), "Addresses": addresses()}.items() if text)
    return f"""<p id="state" class="live" role="status">Live · 30 min</p><div class="cards">{html}</div><section class="card"><h2>Device</h2>
<dl class="facts">{rows}</dl></section><script type="module" src="/www/dashboard.js"></script>"""

@page("Overview")
def dashboard(environ, start_response):
    return cards()
