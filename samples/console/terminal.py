"""A shell in the browser: a pseudo-terminal for each WebSocket."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
from contextlib import suppress

from common import ENVIRONMENT, SHELL, page
from fapws import WebSocket

KEYS = {"Escape": "Esc", "Tab": "Tab", "Control": "Ctrl", "ArrowUp": "↑", "ArrowDown": "↓", "ArrowLeft": "←", "ArrowRight": "→"}
shells, MOST = set(), 4  # at the same time

class Shell:
    def __init__(self, ws):
        terminal, inside = pty.openpty()
        os.set_blocking(terminal, False)
        self.terminal = open(terminal, "r+b", buffering=0)
        with open(inside) as inside:  # setsid -c: Ctrl-C and jobs need a terminal that controls the shell
            self.process = subprocess.Popen(["setsid", "-c"] + SHELL, stdin=inside, stdout=inside, stderr=inside,
                                            cwd="/", env={**ENVIRONMENT, "TERM": "xterm"})
        self.thread = threading.Thread(target=self.show, args=(ws,), daemon=True)
        self.thread.start()

    def show(self, ws):
        """Sends all output. While the browser is behind, send waits, and so does the shell."""
        try:
            while not ws.closed:
                ended = self.process.poll() is not None
                if select.select([self.terminal], [], [], 0 if ended else 1)[0]:
                    ws.send(self.terminal.read(16384))
                elif ended:  # a process in the background keeps the terminal open
                    break
        except OSError:
            pass  # EIO: the shell has ended; BrokenPipeError: the browser has disconnected
        ws.close()

    def end(self):
        """Ends the shell as a modem that hangs up, and collects its exit status, so that no zombie stays."""
        for number in (signal.SIGHUP, signal.SIGKILL):
            self.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
        self.thread.join()
        self.terminal.close()

def on_open(ws):
    if len(shells) >= MOST:
        return ws.reject(503, f"{MOST} terminals are open already.")
    ws.data.shell = Shell(ws)
    shells.add(ws.data.shell)

def on_message(ws, message):
    shell, size = ws.data.shell, isinstance(message, str) and re.fullmatch(r"(\d{1,3}) (\d{1,3})", message, re.A)
    if size:
        fcntl.ioctl(shell.terminal, termios.TIOCSWINSZ, struct.pack("4H", int(size[1]), int(size[2]), 0, 0))
    elif isinstance(message, bytes):
        while message and select.select([], [shell.terminal], [], 1)[1]:  # keys that no program reads are lost
            message = message[shell.terminal.write(message) or 0:]

def on_close(ws, code, reason):
    ws.data.shell.end()
    shells.discard(ws.data.shell)

@page("Terminal")
def terminal(environ, start_response):
    keys = "".join(f'<button data-key="{key}" aria-label="{key}">{text}</button> ' for key, text in KEYS.items())
    return f"""<div id="screen"><textarea aria-label="Terminal; Shift and Tab leave it" rows="1" autocapitalize="off"
autocomplete="off" spellcheck="false"></textarea></div><p id="keys">{keys}</p><script type="module" src="www/terminal.js"></script>"""

shell = WebSocket(on_open, on_message, on_close)
