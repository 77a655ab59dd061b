"""Log files and the journal: the last lines, a search in them, and new lines as they arrive."""
import atexit
import collections
import glob
import os
import re
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from html import escape

from common import LOGS, page, parameter
from fapws import HTTPError, channel, publish, subscribers, timer

LINES, LENGTH = 500, 1000  # of a page; bytes of a line, longer ones are cut into several
JOURNAL = ["journalctl", "--no-pager", "--quiet", "--output=short-iso"]
known = {}      # log: (command that prints the last lines, command that prints new ones)
followers = {}  # log: process that prints its new lines

def find():
    if shutil.which("journalctl") and glob.glob("/*/log/journal/*"):
        known["journal"] = JOURNAL + ["--lines=20000"], JOURNAL + ["--lines=0", "--follow"]
    for path in sorted(path for pattern in LOGS for path in glob.glob(pattern)):
        if os.path.isfile(path) and os.access(path, os.R_OK) and re.fullmatch(r"[\w./~:@-]{1,100}", path, re.A):
            known[path] = ["tail", "-c", "4194304", path], ["tail", "-n", "0", "-F", path]

def lines(process):
    with process:
        for line in iter(lambda: process.stdout.readline(LENGTH), b""):
            yield line.decode(errors="replace").rstrip("\n")

def start(command):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

def follow(name):
    """Publishes the new lines of a log, until its process is terminated."""
    for line in lines(followers[name]):
        with suppress(RuntimeError):  # the server is behind: the line is lost
            publish("log:" + name, line)
        time.sleep(0.005)  # a flood of lines must not occupy the device
    del followers[name]

@timer(1)
def watch():
    """Follows the logs that are open in a browser, also those that a reload has handed over, and no others."""
    for name, (_, new_lines) in list(known.items()):
        wanted = subscribers("log:" + name)
        if wanted and name not in followers:
            followers[name] = start(new_lines)
            threading.Thread(target=follow, args=(name,), daemon=True).start()
        elif name in followers and not wanted:
            followers[name].terminate()

def chosen(environ):
    """The log that a request names: one of the list, never another file."""
    name = parameter(environ, "log", next(iter(known), ""))
    if name not in known:
        raise HTTPError(404, "The server can read no such log.")
    return name

def live(environ, start_response):
    return channel("log:" + chosen(environ))

@page("Logs")
def logs(environ, start_response):
    find()
    name, search = chosen(environ), parameter(environ, "search")
    found = collections.deque((line for line in lines(start(known[name][0])) if search.lower() in line.lower()), LINES)
    options = "".join(f'<option{" selected" * (one == name)} value="{one}">{one.split("/log/", 1)[-1]}' for one in known)
    return f"""<form id="find" class="card" role="search"><label>Log <select name="log">{options}</select></label>
<label>Search <input type="search" name="search" value="{escape(search)}"></label> <button class="main">Show</button></form>
<pre id="lines" tabindex="0" role="log" aria-live="off" aria-label="Lines">{"".join(f"<div>{escape(line)}</div>" for line in found)}</pre>
<script type="module" src="www/logs.js"></script>"""

atexit.register(lambda: [process.terminate() for process in list(followers.values())])
find()
