"""The overview: values from /proc and /sys, live as server-sent events, and their last 30 minutes."""
import collections
import fcntl
import glob
import json
import os
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from statistics import fmean

from common import PROC, RUN, SYS, VERSION, Html, html, lines, page, run, write
from fapws import HTTPError, publish, timer

STEP, STEPS = 10, 180  # seconds between two points of a curve; points
HISTORY, LATEST = Path(RUN, "history.json"), Path(RUN, "latest.html")
Card = collections.namedtuple("Card", "name text detail values top")  # values of the curves; their maximum, or None
LOCK = open(Path(RUN, "lock"), "w")
before = 0, 0, 0, {}                      # the counters of the last measurement
recent = collections.defaultdict(list)    # {card: values since the last point}

def amount(n):
    """Three digits and a unit."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if n < 999.5 or unit == "TB":
            return f"{n:.{0 if unit == 'B' or n >= 99.95 else 1 if n >= 9.995 else 2}f} {unit}"
        n /= 1000

def counters():
    """(seconds, busy ticks and all ticks of the CPU, {interface: (bytes received, bytes sent)}), all since some start."""
    ticks = [int(n) for n in lines(PROC + "/stat")[0].split()[1:9]]
    rows = [row.replace(":", " ").split() for row in lines(PROC + "/net/dev")[2:]]
    network = {row[0]: (int(row[1]), int(row[9])) for row in rows if row[0] != "lo" and int(row[1]) + int(row[9])}
    return time.monotonic(), sum(ticks) - ticks[3] - ticks[4], sum(ticks), network  # 3 and 4: idle, waiting for disks

def measure():
    """The cards, with averages since the last call."""
    global before
    old, before = before, counters()
    seconds, busy, ticks = (now - then for now, then in zip(before[:3], old[:3]))
    cpu, load = 100 * busy / max(1, ticks), lines(PROC + "/loadavg")[0].split()[:3]
    yield Card("CPU", f"{cpu:\u2007>2.0f} %", "Load " + " · ".join(load), [cpu], 100)  # U+2007 is as wide as a digit
    memory = {row.split(":")[0]: int(row.split()[1]) * 1024 for row in lines(PROC + "/meminfo")}
    disk = os.statvfs("/")
    for name, free, size in (("Memory", memory["MemAvailable"], memory["MemTotal"]),
                             ("Disk", disk.f_bfree * disk.f_frsize, disk.f_blocks * disk.f_frsize)):
        used = 100 * (size - free) / size
        yield Card(name, f"{used:\u2007>2.0f} %", f"{amount(size - free)} of {amount(size)}", [used], 100)
    for zone in sorted(glob.glob(SYS + "/class/thermal/thermal_zone*")):
        with suppress(OSError, ValueError):  # the sensor is switched off
            degrees = int(Path(zone, "temp").read_text()) / 1000
            yield Card("Temperature", f"{degrees:\u2007>4.1f} °C", lines(zone + "/type")[0], [degrees], 100)
            break
    for name, counts in list(before[3].items())[:12]:  # containers make many interfaces
        down, up = ((now - then) / seconds for now, then in zip(counts, old[3].get(name, counts)))
        yield Card("Network-" + name, f"↓ {amount(down)}/s", f"↑ {amount(up)}/s", [down, up], None)

@lru_cache(1)
def addresses(step):
    """The addresses of the device, which are looked up once in each step."""
    with suppress(HTTPError):  # this device has no such command
        return "\n".join(" ".join(row.split()[1:4:2]) for row in run("ip -o address show scope global".split()).splitlines())

def facts(step):
    minutes = int(float(lines(PROC + "/uptime")[0].split()[0])) // 60
    system = [row[12:].strip('"') for row in lines("/etc/os-release") if row.startswith("PRETTY_NAME=")]
    return {"Model": lines(SYS + "/firmware/devicetree/base/model", SYS + "/class/dmi/id/product_name")[0],
            "System": ", ".join(system + lines(PROC + "/sys/kernel/osrelease")), "Firmware": lines(VERSION)[0],
            "Clock": time.strftime("%a %d %b %Y, %H:%M %Z"),
            "Up": f"{minutes // 1440} d {minutes // 60 % 24:02} h {minutes % 60:02} min", "Addresses": addresses(step)}

def draw(card, points, step):
    """The curves of a card, as paths of SVG. Their ends are below the picture."""
    known = [(when - step + STEPS - 1, cards[card.name]) for when, cards in points if card.name in cards]
    start, top = known[0][0] if known else 0, card.top or max([1] + [max(values) for _, values in known])
    for i in range(len(card.values)):
        path = "L".join(f"{x} {39 - 37 * min(1, values[i] / top):.1f}" for x, values in known)
        yield html("curve", id=f"{card.name}-{i}", path=f"M{start} 45L{path}V45")

def render(card, points, step):
    title, _, interface = card.name.partition("-")
    return html("card", id=card.name, title=title, interface=interface, number=card.text, detail=card.detail,
                kind="gauge" if card.top else "wide", level=round(card.values[0]), curves=list(draw(card, points, step)))

@timer(2)
def watch():
    """Measures and publishes, in the worker that has the lock."""
    try:
        fcntl.lockf(LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    cards, points, step = list(measure()), [], int(time.time()) // STEP
    with suppress(OSError, ValueError):  # the device has started
        points = json.loads(HISTORY.read_text())  # [[step, {card: values}], …]
    for card in cards:
        recent[card.name].append(card.values)
    if not points or step != points[-1][0]:
        averages = {name: [float(f"{fmean(some):.3g}") for some in zip(*values)] for name, values in recent.items()}
        points = [point for point in points if step - STEPS < point[0] < step] + [[step, averages]]
        write(HISTORY, json.dumps(points))
        recent.clear()
    latest = html("latest", cards=[render(card, points, step) for card in cards],
                  facts=[html("fact", name=name, text=text) for name, text in facts(step).items() if text])
    write(LATEST, latest)
    publish("values", latest)

def overview():
    return html("overview", latest=Html("\n".join(lines(LATEST))))

@page("Overview", "/")
def dashboard(environ, start_response):
    return overview()

watch()
