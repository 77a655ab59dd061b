"""A shell in the browser. The shell belongs to another process (shell.py), which continues when the server reloads."""
import hashlib
import os
import socket
import sys
import threading
from contextlib import suppress

from common import HERE, RUN, html, lines, page, run, setting_words
from fapws import HTTPError, WebSocket

# One file without Python on the device is its own Python.
HELPER = [*([sys.executable] if os.path.exists(sys.executable) else ["/proc/self/exe", "python"]), "-ESm", "shell"]

def on_open(ws):
    """Connects to the shell of this browser tab, which the query names. If there is none, starts a shell."""
    tab = f"{ws.environ['REMOTE_USER']} {ws.environ['QUERY_STRING']}"
    path = f"{RUN}/shell-{hashlib.sha256(tab.encode()).hexdigest()[:32]}"
    link = ws.data.link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if link.connect_ex(path):  # The process of the shell has not started yet, or was killed.
        try:
            if len({row.split()[-1] for row in lines("/proc/net/unix") if f"{RUN}/shell-" in row}) >= 4:
                raise HTTPError(503, "Four terminals are open already: close one of them.")
            run([*HELPER, path, *setting_words("KEEP"), *setting_words("SHELL")], cwd=HERE, start_new_session=True)
            link.connect(path)
        except (HTTPError, OSError) as error:
            ws.send(getattr(error, "text", str(error)).encode())
            return ws.close(4000)  # a code for terminal.js
    threading.Thread(target=show, args=(ws, link), daemon=True).start()

def show(ws, link):
    """Sends all output of the shell. While the browser reads slowly, send waits, and the shell waits, too."""
    with suppress(OSError), link:  # BrokenPipeError: the browser has disconnected
        while piece := link.recv(65536):
            ws.send(piece)
    ws.close()

def on_message(ws, message):
    """Forwards keys, which are text, and the size of the screen, which is bytes."""
    with suppress(OSError):  # the shell has ended
        ws.data.link.sendall(message.encode() if isinstance(message, str) else message)

def on_close(ws, code, reason):
    with suppress(OSError):
        ws.data.link.shutdown(socket.SHUT_RDWR)

@page("Terminal", "/terminal")
def terminal(environ, start_response):
    return html("terminal")

shell = WebSocket(on_open, on_message, on_close)
