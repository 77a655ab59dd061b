"""A process that keeps a shell while the server reloads: shell.py SOCKET SECONDS COMMAND...

Its client sends packets: "a" to begin, "k" and keys, "s" and rows and columns. It gets a reset of the terminal and the last 64 KB of output in one packet,
then more output. Without a client for SECONDS, the shell gets SIGHUP, as from a modem.
"""
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import sys
import termios
import time
from contextlib import suppress

path, seconds, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(path + ".new")
listener.listen(4)
os.rename(path + ".new", path)  # whoever finds it can connect
if os.fork():
    os._exit(0)  # the server does not have to wait for the other one
child, terminal = pty.fork()
if not child:
    os.chdir("/")
    os.execvp(command[0], command)
os.set_blocking(terminal, False)
text, client, ended, until = b"", None, 0, time.monotonic() + seconds

def obey(packet):
    kind, rest = packet[:1], packet[1:]
    if kind == b"a":
        client.send(b"\x1bc" + text)
    elif kind == b"s":
        with suppress(ValueError, struct.error):
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", *map(int, rest.split()), 0, 0))
    while kind == b"k" and rest and select.select([], [terminal], [], 1)[1]:  # keys that no program reads are lost
        rest = rest[os.write(terminal, rest):]

try:
    while client or time.monotonic() < until:
        ended = ended or os.waitpid(child, os.WNOHANG)[0]
        full = bool(client) and not select.select([], [client], [], 0)[1]  # then the shell waits
        some, _, _ = select.select([listener] + [terminal] * (not full) + [client] * bool(client), [client] * full, [], 0 if ended else 1)
        if terminal in some:
            piece = os.read(terminal, 16384)
            text = (text + piece)[-65536:]
            with suppress(ConnectionError):
                client and client.send(piece)
        elif ended:
            break  # a process in the background may keep the terminal open
        with suppress(ConnectionError):
            if client in some:
                packet = client.recv(1 << 17)
                obey(packet)
                if not packet:
                    client, until = None, time.monotonic() + seconds
            if listener in some:
                other = listener.accept()[0]
                if packet := other.recv(1 << 17):  # the others only look who is here
                    client = other
                    obey(packet)
except OSError:
    pass  # EIO: the shell has ended
finally:
    os.unlink(path)
    os.close(terminal)
    for number in (signal.SIGHUP, signal.SIGKILL):
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, number)
            until = time.monotonic() + 2
            while not os.waitpid(child, os.WNOHANG)[0] and time.monotonic() < until:
                time.sleep(0.05)
