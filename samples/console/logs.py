"""Log files and the journal: the last lines, a search, and new lines as they arrive."""
import collections
import glob
import os
import re
import shutil
import subprocess
from contextlib import suppress

from common import html, page, parameter, publishes, setting_words
from fapws import HTTPError, channel, publish, subscribers, timer

LINES, LENGTH = 500, 1000  # maximum lines of a page; maximum bytes of a line
followers = {}             # {log: (process that prints its new lines, beginning of the next line)}
JOURNAL = "journalctl --no-pager --quiet --output=short-iso"

def find():
    """Returns the logs that the server can read. A request may name only these logs."""
    known = ["journal"] * bool(shutil.which("journalctl") and glob.glob("/*/log/journal/*"))
    known += ["logread"] * bool(shutil.which("logread"))  # OpenWrt, and syslogd -C of busybox
    paths = [path for pattern in setting_words("LOGS") for path in sorted(glob.glob(pattern)) if os.path.isfile(path)]
    return list(dict.fromkeys(known + [path for path in paths if os.access(path, os.R_OK) and
                                       re.fullmatch(r"[\w./~:@-]{1,100}", path, re.A)]))

def start(log, follows):
    """Starts a process that prints the last lines of a log, or new lines as they arrive."""
    commands = {"journal": JOURNAL + (" --lines=0 --follow" if follows else " --lines=20000"),
                "logread": "logread" + " -f" * follows}
    command = commands.get(log, f"tail {'-n 0 -F' if follows else '-c 4194304'} {log}")
    return subprocess.Popen(command.split(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, errors="replace")

@timer(1)
def follow():
    """Publishes the new lines of each log that a browser shows. This continues after a reload of the server."""
    wanted = {log for log in find() if subscribers("log:" + log)} if subscribers("logs") else set()
    for log in wanted - followers.keys():
        followers[log] = start(log, True), b""
        os.set_blocking(followers[log][0].stdout.fileno(), False)
    for log, (process, begun) in list(followers.items()):
        if log not in wanted or process.poll() is not None:
            with followers.pop(log)[0]:
                process.terminate()
            continue
        with suppress(BlockingIOError, RuntimeError):  # no new lines, or the server is overloaded and drops lines
            *complete, rest = (begun + os.read(process.stdout.fileno(), 32768)).split(b"\n")  # one read each second
            followers[log] = process, rest[:LENGTH]
            for line in complete if publishes() else []:
                publish("log:" + log, line[:LENGTH].decode(errors="replace"))

def chosen(environ):
    known = find()
    log = parameter(environ, "log", "".join(known[:1]))
    if log not in known:
        raise HTTPError(404, "There is no such log, or the console may not read it.")
    return log

def live_lines(environ, start_response):
    return channel("log:" + chosen(environ), "logs")

@page("Logs", "/logs")
def logs(environ, start_response):
    log, search = chosen(environ), parameter(environ, "search")
    with start(log, False) as process:
        found = collections.deque((line.rstrip("\n")[:LENGTH] for line in process.stdout
                                   if search.lower() in line.lower()), LINES)
    options = [html("option", value=one, name=one.split("/log/", 1)[-1], selected="selected" if one == log else "")
               for one in find()]
    return html("logs", options=options, search=search, lines="\n".join(found), number=len(found),
                none="No line contains this text." if search else "This log has no lines.")
