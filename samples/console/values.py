"""The dashboard: live values from /proc and /sys, as server-sent events."""
import glob
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from common import SYS, page
from fapws import HTTPError, channel, publish, subscribers, timer

BODY = """<p id="uptime"></p><dl id="values"></dl>
<template id="value"><div><dt></dt><dd></dd><svg viewBox="0 0 59 20" preserveAspectRatio="none" aria-hidden="true">
<polyline vector-effect="non-scaling-stroke"/></svg></div></template><script type="module" src="www/dashboard.js"></script>"""
before, latest = (0, 0, 0, {}), {}

def counters():
    """(seconds, busy ticks and all ticks of the CPU, {interface: (bytes received, bytes sent)}), all since some start."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    rows = (row.replace(":", " ").split() for row in Path("/proc/net/dev").read_text().splitlines()[2:])
    network = {row[0]: (int(row[1]), int(row[9])) for row in rows if row[0] != "lo" and int(row[1]) + int(row[9])}
    return time.monotonic(), sum(ticks) - ticks[3] - ticks[4], sum(ticks), network  # 3 and 4: idle, waiting for disks

def temperatures():
    """Degrees Celsius by sensor."""
    found = {}
    for zone in sorted(glob.glob(SYS + "/class/thermal/thermal_zone*")):
        with suppress(OSError, ValueError):  # of a sensor that is switched off
            found[Path(zone, "type").read_text().strip()] = int(Path(zone, "temp").read_text()) / 1000
    return found

def values():
    """All values; CPU and network are averages since the last call, unless that was less than a second ago."""
    global before, latest
    new = counters()
    seconds, busy, ticks = (now - then for now, then in zip(new[:3], before[:3]))
    if seconds < 1:
        return latest
    rates = {name: [(now - then) / seconds for now, then in zip(counts, before[3].get(name, counts))] for name, counts in new[3].items()}
    memory = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in Path("/proc/meminfo").read_text().splitlines()}
    disk = os.statvfs("/")
    before, latest = new, {
        "uptime": float(Path("/proc/uptime").read_text().split()[0]), "cpu": 100 * busy / max(1, ticks), "temperatures": temperatures(),
        "space": {"Memory": (memory["MemTotal"] - memory["MemAvailable"], memory["MemTotal"]),
                  "Disk": ((disk.f_blocks - disk.f_bfree) * disk.f_frsize, disk.f_blocks * disk.f_frsize)}, "network": rates}
    return latest

@timer(2)
def measure():
    if subscribers("values"):  # a closed page costs nothing
        publish("values", values())

def live(environ, start_response):
    return channel("values", start=f"data: {json.dumps(values())}\n\n")

@page("Dashboard")
def dashboard(environ, start_response):
    if environ["PATH_INFO"] not in ("", "/"):  # this entry of PATHS gets all paths that no other has
        raise HTTPError(404, "No such page.")
    return BODY
