"""The overview: values from /proc and /sys, live as server-sent events, and their last 30 minutes."""
import collections
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from common import DATA, PROC, RUN, SYS, VERSION, html, lines, page, publishes, run, write
from fapws import HTTPError, publish, subscribers, timer

STEP, STEPS = 10, 180  # seconds between two points of a curve, and number of points
LEVELS = [(95, "critical"), (80, "high")]  # in percent or in degrees Celsius
HISTORY = Path(RUN, "history.json")  # in memory, and lost at a reboot
# values are the latest points of the card's curves. top is the maximum of the curve's scale; 0 means automatic.
Card = collections.namedtuple("Card", "name text detail values top unit")

def amount(n, form="#.3g"):
    """Returns a number of bytes with three digits and a unit."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if n < 999.5 or unit == "TB":
            return f"{n:{'.0f' if unit == 'B' else form}}".rstrip(".") + " " + unit
        n /= 1000

def counters():
    """Returns (seconds, busy ticks of the CPU, all ticks of the CPU, {interface: (bytes received, bytes sent)}). Only
    the differences between two results are meaningful."""
    ticks = [int(n) for n in lines(PROC + "/stat")[0].split()[1:9]]
    rows = [row.replace(":", " ").split() for row in lines(PROC + "/net/dev")[2:]]
    network = {row[0]: (int(row[1]), int(row[9])) for row in rows if row[0] != "lo" and {row[1], row[9]} != {"0"}}
    return time.monotonic(), sum(ticks) - ticks[3] - ticks[4], sum(ticks), network  # 3 and 4: idle, waiting for disks

# the latest results of counters(), the oldest first; the zeros are the counters at the boot
counted = collections.deque([(0, 0, 0, {}), counters()], maxlen=7)
points = collections.deque(maxlen=STEPS)  # [step, {card: values}]
with suppress(OSError, ValueError):
    points.extend(json.loads(HISTORY.read_text()))

def cards(old, new):
    """Yields the cards. Their rates are computed from two results of counters()."""
    seconds, busy, ticks = (now - then for now, then in zip(new[:3], old[:3]))
    cpu, load = 100 * busy / max(1, ticks), lines(PROC + "/loadavg")[0].split()[:3]
    yield Card("CPU", f"{cpu:.0f} %", "Load " + " · ".join(load), [cpu], 100, "%")
    memory = {row.split(":")[0]: int(row.split()[1]) * 1024 for row in lines(PROC + "/meminfo")}
    disk = os.statvfs(DATA)  # the root of a device is often a full, read-only file system
    for name, free, size in (("Memory", memory["MemAvailable"], memory["MemTotal"]),
                             ("Disk", disk.f_bfree * disk.f_frsize, disk.f_blocks * disk.f_frsize)):
        used = 100 * (size - free) / size
        yield Card(name, f"{used:.0f} %", f"{amount(size - free)} of {amount(size)}", [used], 100, "%")
    for zone in sorted(Path(SYS, "class/thermal").glob("thermal_zone*")):
        with suppress(OSError, ValueError):  # the sensor is switched off
            degrees = int((zone / "temp").read_text()) / 1000
            yield Card("Temperature", f"{degrees:.1f} °C", lines(zone / "type")[0], [degrees], 100, "°C")
            break
    # limit the number of cards, because containers create many interfaces
    for name, counts in list(new[3].items())[:12]:
        down, up = ((now - then) / seconds for now, then in zip(counts, old[3].get(name, counts)))
        yield Card("Network-" + name, f"↓ {amount(down)}/s", f"↑ {amount(up)}/s", [down, up], 0, "B/s")

def rounded(n):
    """Returns the smallest of 1, 2, 5, 10, 20, 50 and so on that is not less than n."""
    power = 10 ** (len(str(int(n))) - 1)
    return next(step * power for step in (1, 2, 5, 10) if step * power >= n)

def render(card):
    """Returns the HTML of a card with its curves, from which dashboard.js reads the values."""
    now = int(time.time()) // STEP
    known = [(STEPS - 1 - now + step, values[card.name]) for step, values in points
             if now - STEPS < step <= now and card.name in values]
    start = known[0][0] if known else 0
    top = card.top or rounded(max([1000] + [max(values) for _, values in known]))
    paths = ["L".join(f"{x} {100 - 100 * min(1, values[i] / top):.2f}" for x, values in known)
             for i in range(len(card.values))]
    curves = [html("curve", id=f"{card.name}-{i}", start=start, path=path) for i, path in enumerate(paths)]
    title, _, interface = card.name.partition("-")
    level = next((word for limit, word in LEVELS if card.top and card.values[0] >= limit), "")
    return html("card", id=card.name, title=title, interface=interface, number=card.text, detail=card.detail,
                width="" if card.top else "wide", level=level, curves=curves, top=top, unit=card.unit,
                scale=f"{top} {card.unit}" if card.top else amount(top, ".3g") + "/s", time=time.strftime("%H:%M:%S"))

def addresses():
    with suppress(HTTPError):  # the device does not have this command
        rows = run("ip -o address show scope global".split()).splitlines()
        return "\n".join(" ".join(row.split()[1:4:2]) for row in rows)
    return ""

def latest():
    minutes = int(float(lines(PROC + "/uptime")[0].split()[0])) // 60
    system = [row[12:].strip('"') for row in lines("/etc/os-release") if row.startswith("PRETTY_NAME=")]
    return html(
        "latest", cards=[render(card) for card in cards(counted[-2], counted[-1])],
        model=lines(SYS + "/firmware/devicetree/base/model", SYS + "/class/dmi/id/product_name")[0],
        system="".join(system), kernel=lines(PROC + "/sys/kernel/osrelease")[0], firmware=lines(VERSION)[0],
        clock=time.strftime("%a %d %b %Y, %H:%M %Z"), addresses=addresses(),
        up=f"{minutes // 1440} d " * (minutes > 1439) + f"{minutes // 60 % 24} h {minutes % 60:02} min")

@timer(2)
def measure():
    counted.append(counters())
    step = int(time.time()) // STEP
    if not points or step != points[-1][0]:
        values = {card.name: [round(value, 1) for value in card.values] for card in cards(counted[1], counted[-1])}
        points.append([step, values])
        write(HISTORY, json.dumps(list(points)))
    if subscribers("values") and publishes():
        publish("values", latest())

@page("Overview", "/")
def dashboard(environ, start_response):
    return html("overview", note="", latest=latest())
