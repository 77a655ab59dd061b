"""Log files and the journal: the last lines, a search in them, and new lines as they arrive."""
import collections
import glob
import os
import re
import shutil
import subprocess
from contextlib import suppress

from common import html, page, parameter, words
from fapws import HTTPError, channel, publish, subscribers, timer

LINES, LENGTH = 500, 1000  # of a page; bytes of a line
followers = {}             # {log: process that prints its new lines}
unfinished = {}            # {log: the beginning of its next line}

def find():
    """The logs that the server can read, which are the only ones that a request may name."""
    journal = ["journal"] if shutil.which("journalctl") and glob.glob("/*/log/journal/*") else []
    paths = [path for pattern in words("LOGS") for path in glob.glob(pattern) if os.path.isfile(path)]
    return journal + sorted(path for path in paths
                            if os.access(path, os.R_OK) and re.fullmatch(r"[\w./~:@-]{1,100}", path, re.A))

def start(log, journal_options, tail_options):
    """Starts a process that prints lines of a log."""
    if log == "journal":
        command = ["journalctl", "--no-pager", "--quiet", "--output=short-iso", *journal_options]
    else:
        command = ["tail", *tail_options, log]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True, errors="replace")

@timer(1)
def follow():
    """Publishes the new lines of logs that are open in a browser, also after a reload, and follows no others."""
    wanted = {log for log in find() if subscribers("log:" + log)} if subscribers("logs") else set()
    for log in wanted - followers.keys():
        followers[log] = start(log, ["--lines=0", "--follow"], ["-n", "0", "-F"])
        os.set_blocking(followers[log].stdout.fileno(), False)
    for log, process in list(followers.items()):
        if log not in wanted or process.poll() is not None:
            with followers.pop(log):
                process.terminate()
            continue
        with suppress(BlockingIOError, RuntimeError):  # no new lines; the server is behind: lines are lost
            text = unfinished.get(log, b"") + os.read(process.stdout.fileno(), 32768)  # in a second, at most
            *complete, rest = text.split(b"\n")
            unfinished[log] = rest[:LENGTH]
            for line in complete:
                publish("log:" + log, line[:LENGTH].decode(errors="replace"))

def chosen(environ):
    log = parameter(environ, "log", "".join(find()[:1]))
    if log not in find():
        raise HTTPError(404, "The server can read no such log.")
    return log

def live_lines(environ, start_response):
    return channel("log:" + chosen(environ), "logs")

@page("Logs", "/logs")
def logs(environ, start_response):
    log, search = chosen(environ), parameter(environ, "search")
    with start(log, ["--lines=20000"], ["-c", "4194304"]) as process:
        found = collections.deque((line.rstrip("\n")[:LENGTH] for line in process.stdout
                                   if search.lower() in line.lower()), LINES)
    options = [html("option", value=one, name=one.split("/log/", 1)[-1], selected="selected" if one == log else "")
               for one in find()]
    return html("logs", options=options, search=search, lines="\n".join(found))
