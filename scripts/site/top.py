"""Makes docs/images/top.svg: "fapws ctl top" for a server with a request that hangs. Run this script after ./build.sh
build and ./build.sh request --help, from any directory.

The server and its load are real; only the version is taken from CHANGELOG.md.
"""

import fcntl
import html
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import tempfile
import termios
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FAPWS = str(ROOT / "build" / "fapws")
REQUEST = str(ROOT / "build" / "bench" / "request")
ADDRESS = "127.0.0.1:8888"
COLUMNS, LINES = 100, 24

APP = """
import time

def report(environ, start_response):
    rows = query("SELECT …")
    return f"{len(rows)} rows"

def query(sql):
    time.sleep(60)  # another transaction has the lock

PATHS = [("/report", report), ("/", lambda environ, start_response: "Hello")]
"""

STYLE = """<style>
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre;fill:#d5dae4}
.window{fill:#10131a;stroke:#2a2f3a}.bar{fill:#1b202a}.title{font-family:system-ui,sans-serif;fill:#aab2c2}
.prompt{fill:#5eead4}.bold{font-weight:600}.red{fill:#ff8f86}.amber{fill:#ffb84d}
</style>"""


def last_screen(pid, seconds):
    """Returns the lines that a terminal shows after "fapws ctl top" has run for some seconds."""
    child, terminal = pty.fork()
    if not child:
        os.execve(FAPWS, ["fapws", "ctl", "top", "--pid", str(pid)], {**os.environ, "TERM": "xterm-256color"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    written, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            written += os.read(terminal, 1 << 16)
    os.kill(child, 15)
    screens = [screen for screen in written.decode().split("\x1b[H") if "REQUEST" in screen and "WHERE" in screen]
    # Only the sequences of colors remain, for the picture.
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-ln-z]", "", line).rstrip() for line in screens[-1].split("\n")]


COLORS = {"1": "bold", "2": "dim", "31": "red", "33": "amber"}


def spans(line):
    """Returns a line of the terminal with its colors as SVG."""
    text, opened = "", False
    for part in re.split(r"(\x1b\[[0-9]+m)", line):
        if not part.startswith("\x1b"):
            text += html.escape(part, False)
            continue
        text, opened = text + ("</tspan>" if opened else ""), False
        if name := COLORS.get(part[2:-1]):
            text, opened = text + '<tspan class="%s">' % name, True
    return text + ("</tspan>" if opened else "")


def picture(lines):
    height = 66 + 19 * (len(lines) + 1)
    yield (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 %d" role="img" '
        'aria-label="fapws ctl top shows a request that hangs, with its line">' % height
    )
    yield STYLE
    yield (
        '<rect class="window" x=".5" y=".5" width="859" height="%d" rx="8"/>'
        '<path class="bar" d="M1 8a7 7 0 0 1 7-7h844a7 7 0 0 1 7 7v24H1z"/>' % (height - 1)
    )
    yield '<text class="title" x="430" y="21" text-anchor="middle">Terminal</text>'
    y = 56
    yield '<text x="18" y="%d" class="prompt">$ fapws ctl top</text>' % y
    for line in lines:
        y += 19
        yield '<text x="18" y="%d">%s</text>' % (y, spans(line))
    yield "</svg>\n"


def main():
    version = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M).group(1)
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "shop.py").write_text(APP, "utf-8")
        environ = {**os.environ, "FAPWS_ALLOW_ROOT": "1"}
        flags = ["--config", "off", "--workers", "2", "--timeout", "30s", "--bind", ADDRESS, "shop.py"]
        server = subprocess.Popen([FAPWS, *flags], cwd=folder, env=environ, stderr=subprocess.DEVNULL)
        beside = []
        try:
            time.sleep(3)
            for command in (
                ["curl", "-s", "http://%s/report?month=11" % ADDRESS],
                [REQUEST, "-c", "4", "-d", "30s", "-r", "900", "http://%s/" % ADDRESS],
            ):
                beside.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            time.sleep(8)
            lines = last_screen(server.pid, 5)
        finally:
            for process in [*beside, server]:
                process.terminate()
                process.wait()
    while not lines[-1]:
        lines.pop()
    lines[0] = re.sub(r"fapws [^,]+", "fapws " + version, lines[0])
    (ROOT / "docs" / "images" / "top.svg").write_text("\n".join(picture(lines)), "utf-8")


main()
