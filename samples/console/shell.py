"""A process that keeps a shell while the server reloads: shell.py SOCKET SECONDS COMMAND...

Its client sends packets: "a" to begin, "k" and keys, "s" and rows and columns. It gets a reset of the terminal and the
last 64 KB of output, then more output. Without a client for SECONDS, the shell gets SIGHUP, as from a modem.
"""
import fcntl
import os
import pty
import signal
import socket
import struct
import sys
import termios
import threading
import time
from contextlib import suppress

path, seconds, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(path + ".new")
listener.listen(4)
listener.settimeout(1)
os.rename(path + ".new", path)  # whoever finds it can connect
if os.fork():
    os._exit(0)  # the server does not have to wait for the other one
child, terminal = pty.fork()
if not child:
    os.chdir("/")
    os.execvp(command[0], command)
text, client, until, lock = b"", None, time.monotonic() + seconds, threading.Lock()

def show():
    """Sends all output. While the client is behind, send waits, and so does the shell."""
    global text
    with suppress(OSError):  # EIO: the shell has ended
        while piece := os.read(terminal, 16384):
            with lock:
                text, receiver = (text + piece)[-65536:], client
            with suppress(OSError):
                receiver and receiver.send(piece)

def obey(link):
    """Does what a client says. Clients that never begin only look whether the shell is there."""
    global client, until
    with link, suppress(OSError):
        while packet := link.recv(1 << 17):
            if packet[:1] == b"k":
                os.write(terminal, packet[1:])
            elif packet[:1] == b"s":
                with suppress(ValueError, struct.error):
                    size = struct.pack("4H", *map(int, packet[1:].split()), 0, 0)
                    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
            else:
                with lock:
                    client = link
                    link.send(b"\x1bc" + text)
    if client is link:
        client, until = None, time.monotonic() + seconds

output = threading.Thread(target=show, daemon=True)
output.start()
while (client or time.monotonic() < until) and not os.waitpid(child, os.WNOHANG)[0]:
    with suppress(socket.timeout):
        threading.Thread(target=obey, args=listener.accept()[:1], daemon=True).start()
os.unlink(path)
with suppress(ProcessLookupError, ChildProcessError):  # it has ended already
    os.kill(child, signal.SIGHUP)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(2)
    os.waitpid(child, 0)
output.join(1)  # the last words of the shell
