"""A shell in the browser. The shell belongs to a process beside the server, which outlives a reload: shell.py."""
import glob
import hashlib
import os
import select
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from common import ENVIRONMENT, KEEP, RUN, SHELL, page
from fapws import WebSocket

KEYS = {"Escape": "Esc", "Tab": "Tab", "Control": "Ctrl", "ArrowUp": "↑", "ArrowDown": "↓", "ArrowLeft": "←", "ArrowRight": "→"}
HELPER = [sys.executable, "-E", "-S", os.path.join(os.path.dirname(os.path.abspath(__file__)), "shell.py")]
MOST = 4  # shells at the same time

def connect(path):
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with suppress(OSError):
        link.connect(path)
        return link
    link.close()

def on_open(ws):
    """Connects to the shell that this user has in this tab of the browser, which the query names, or starts one."""
    path = os.path.join(RUN, "shell-" + hashlib.sha256(f"{ws.environ['REMOTE_USER']} {ws.environ['QUERY_STRING']}".encode()).hexdigest()[:32])
    link = connect(path)
    if not link:  # sockets of processes that were killed are removed
        if sum(bool(connect(other) or os.unlink(other)) for other in glob.glob(os.path.join(RUN, "shell-" + "?" * 32))) >= MOST:
            return ws.reject(503, f"{MOST} terminals are open already.")
        subprocess.run(HELPER + [path, KEEP] + SHELL, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env={**ENVIRONMENT, "TERM": "xterm"}, start_new_session=True, timeout=20)
        link = connect(path)
    link.send(b"a")
    ws.data.link = link
    threading.Thread(target=show, args=(ws, link), daemon=True).start()

def show(ws, link):
    """Sends all output. While the browser is behind, send waits, and so does the shell."""
    with suppress(OSError), link:  # BrokenPipeError: the browser has disconnected
        while piece := link.recv(1 << 17):
            ws.send(piece)
    ws.close()

def on_message(ws, message):
    kind, text = (b"s", message.encode()) if isinstance(message, str) else (b"k", message)  # the size of the screen, or keys
    with suppress(OSError):  # the shell has ended
        for i in range(0, len(text), 4096):
            if select.select([], [ws.data.link], [], 1)[1]:
                ws.data.link.send(kind + text[i:i + 4096])

def on_close(ws, code, reason):
    with suppress(OSError):
        ws.data.link.shutdown(socket.SHUT_RDWR)

@page("Terminal")
def terminal(environ, start_response):
    keys = "".join(f'<button data-key="{key}" aria-label="{key if len(text) == 1 else text}">{text}</button> ' for key, text in KEYS.items())
    return f"""<div id="screen"><textarea aria-label="Terminal; Shift and Tab leave it" rows="1" autocapitalize="off"
autocomplete="off" spellcheck="false"></textarea><div></div><div></div></div><p id="keys">{keys}</p><script type="module" src="www/terminal.js"></script>"""

shell = WebSocket(on_open, on_message, on_close)
