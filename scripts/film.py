"""Records docs/images/dev.svg: film.py FAPWS FILE runs the executable on terminals, edits its script, asks for pages, and draws what they show.

Times, output and pages are those of the run; the version is shown without the commit of the build.
"""
import collections
import os
import pty
import re
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import suppress
from html import escape
from pathlib import Path

CODE = """import time

def hello(environ, start_response):
    return "<h1>Hello!</h1>"

def report(environ, start_response):
    time.sleep(60)
    return "done"

PATHS = [("/report", report), ("/", hello)]
"""
ROWS, ADVANCE, LINE = 15, 7.2, 17
PANES = {"code": (18, 60), "page": (502, 66), "terminal": (18, 298)}  # where their text begins
STYLE = """text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}
.window{fill:#fff;stroke:#d5d9e2}.bar{fill:#eef0f4}.code text{fill:#1c2230}.title{fill:#5a6272}.field{fill:#fff;stroke:#d5d9e2}
.page text{font:600 30px system-ui,sans-serif;fill:#14171f}.page .small,.title{font:12px system-ui,sans-serif}.page .small{fill:#5a6272}
.dark{fill:#10131a;stroke:#2a2f3a}.darkbar{fill:#1b202a}.terminal text{fill:#d5dae4}text.mark{fill:#ffb86b!important;font-weight:600}.band{fill:#ffb86b;opacity:.28}
.light{fill:#9aa1b0}.darkbar~.title{fill:#aab2c2}
@media(prefers-color-scheme:dark){.window{fill:#171a20;stroke:#2a2f3a}.bar{fill:#1f242d}.field{fill:#171a20;stroke:#2a2f3a}.code text{fill:#dde1ea}.page text{fill:#e9ebf0}.title,.page .small{fill:#aab2c2}}
"""

class Film:
    def __init__(self):
        self.start, self.now, self.shown = time.monotonic(), {}, []

    def show(self, pane, lines):
        """Replaces what a pane shows from now on."""
        at = time.monotonic() - self.start
        for row, text in enumerate([*lines, *[""] * (ROWS - len(lines))]):
            since, old = self.now.get((pane, row), (at, ""))
            if text != old:
                self.shown.append((pane, row, old, since, at))
                self.now[pane, row] = at, text

    def svg(self):
        """The film: each text has an animation that makes it visible for its times. Without motion, it is the last picture."""
        end = time.monotonic() - self.start
        texts, frames, times = collections.defaultdict(str), "", collections.defaultdict(list)
        for pane, row, text, since, until in self.shown + [(*place, text, since, end) for place, (since, text) in self.now.items()]:
            if text.strip():
                times[pane, row, text].append((since, until))
        for n, ((pane, row, text), spans) in enumerate(times.items()):
            steps = "".join(f"{100 * since / end:.2f}%{{visibility:visible}}{100 * until / end:.2f}%{{visibility:{'hidden' if until < end else 'visible'}}}"
                            for since, until in spans)
            frames += f"@keyframes k{n}{{{steps}}}#k{n}{{animation-name:k{n}}}\n"
            x, y = PANES.get(pane, PANES["code"])
            if pane == "band":
                texts[pane] += f'<rect id="k{n}" class="band" x="1" y="{y + row * LINE - 13}" width="466" height="{LINE}"/>\n'
            elif pane == "page":
                x, y, kind = (x, y + 40, "small" if text.startswith("Waiting") else "") if row else (588, 25, "small")
                texts[pane] += f'<text id="k{n}" class="{kind}" x="{x}" y="{y}">{escape(text)}</text>\n'
            else:  # of equal width in all fonts
                place = f'x="{x}" y="{y + row * LINE}" textLength="{len(text) * ADVANCE:.1f}"'
                texts[pane] += f'<text id="k{n}" class="{"mark" if "hello.py:" in text else ""}" {place}>{escape(text)}</text>\n'
        lights = "".join(f'<circle class="light" cx="{x}" cy="{y}" r="5" opacity=".5"/>' for at, y in ((18, 20), (502, 20), (18, 260)) for x in (at, at + 17, at + 34))
        return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 556" role="img" aria-label="A script is edited, and the browser shows its new page; fapws ctl top shows a hung request and its line">
<style>{STYLE}g>[id]{{visibility:hidden;animation:{end:.2f}s step-end infinite}}
{frames}@media(prefers-reduced-motion:reduce){{g>[id]{{animation-play-state:paused!important;animation-delay:-{end - 0.1:.2f}s!important}}}}</style>
<rect class="window" x=".5" y=".5" width="467" height="226" rx="10"/><path class="bar" d="M1 40V11a10 10 0 0 1 10-10H457a10 10 0 0 1 10 10V40z"/><text class="title" x="76" y="24">hello.py</text>
<rect class="window" x="484.5" y=".5" width="375" height="226" rx="10"/><path class="bar" d="M485 40V11a10 10 0 0 1 10-10H849a10 10 0 0 1 10 10V40z"/><rect class="field" x="576" y="10" width="268" height="21" rx="6"/>
<g transform="translate(0 21)"><rect class="dark" x=".5" y="219.5" width="859" height="314" rx="10"/><path class="darkbar" d="M1 259V230a10 10 0 0 1 10-10H849a10 10 0 0 1 10 10V259z"/><text class="title" x="76" y="243">Terminal</text></g>
{lights}{"".join(f'<g class="{pane}">{texts[pane]}</g>' for pane in ("band", *PANES))}</svg>
"""

class Terminal:
    """A shell, into which the film types."""
    all = []

    def __init__(self, film, environment):
        self.film, self.lines, self.text = film, [""], ""
        self.all.append(self)
        process, self.master = pty.fork()
        if not process:
            os.execvpe("sh", ["sh", "-c", f"stty rows {ROWS} columns 112; exec sh"], environment)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        row = 0
        while True:
            piece = os.read(self.master, 65536).decode()
            for token in re.findall(r"\x1b\[[\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", piece):  # those that fapws ctl top uses
                if token == "\x1b[H":
                    row, self.lines = 0, [""]  # each of its pictures is whole
                elif token == "\n":
                    row += 1
                    self.lines.append("")
                elif token[0] not in "\x1b\r":
                    self.lines[row] += re.sub(r"(fapws [\d.]+)\+\w+", r"\1", token)
            self.text += piece
            self.film.show("terminal", self.lines[-ROWS:])

    def type(self, line, awaited):
        for character in line:
            os.write(self.master, character.encode())
            time.sleep(0.05)
        time.sleep(0.3)
        os.write(self.master, b"\r")
        self.find(awaited)

    def find(self, text):
        while text not in self.text:
            if "choose one" in self.text:
                sys.exit("film.py: another fapws of this user runs; stop it first, because fapws ctl top shows the only one")
            time.sleep(0.02)

def fetch(film, path):
    film.show("page", ["127.0.0.1:8888" + path, "Waiting for 127.0.0.1…"])
    with suppress(OSError), urllib.request.urlopen("http://127.0.0.1:8888" + path) as page:  # OSError: the film ends before the page
        film.show("page", ["127.0.0.1:8888" + path, re.sub("<.*?>", "", page.read().decode())])

def main(executable, file, directory):
    os.chdir(directory)
    environment = {"PATH": f"{os.path.dirname(executable)}:/usr/bin:/bin", "PS1": "$ ", "TERM": "xterm", "HOME": directory, "FAPWS_ALLOW_ROOT": "1"}
    script, film = Path("hello.py"), Film()
    script.write_text(CODE)
    film.show("code", CODE.split("\n"))
    server = Terminal(film, environment)
    time.sleep(0.8)
    server.type("fapws --dev hello.py", "2 entries")
    time.sleep(0.8)
    fetch(film, "/")
    time.sleep(1.5)
    words = ["Hello"[:n] for n in range(4, -1, -1)] + ["Good morning"[:n] for n in range(1, 13)]
    for word in words:
        film.show("code", CODE.replace("Hello", word).split("\n"))
        time.sleep(0.09)
    script.write_text(CODE.replace("Hello", words[-1]))
    server.find("reloaded")
    time.sleep(0.6)
    fetch(film, "/")
    time.sleep(2)
    threading.Thread(target=fetch, args=(film, "/report"), daemon=True).start()
    time.sleep(1)
    server.film = Film()  # behind another terminal, and not in the picture
    film.show("terminal", [])
    top = Terminal(film, environment)
    time.sleep(0.5)
    top.type("fapws ctl top", "hello.py:7 in report")
    time.sleep(0.8)
    film.show("band", [""] * 6 + ["the line of the stack"])
    time.sleep(4)
    Path(file).write_text(film.svg())

signal.signal(signal.SIGALRM, lambda *_: sys.exit("film.py: a terminal does not show the awaited text within 60 s"))
signal.alarm(60)
with tempfile.TemporaryDirectory() as directory:
    try:
        main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), directory)
    finally:
        for terminal in Terminal.all[::-1] + Terminal.all[:1]:  # the second Ctrl-C ends the server in spite of the hung request
            os.write(terminal.master, b"\x03")
            time.sleep(0.3)
