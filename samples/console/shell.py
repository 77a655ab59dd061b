"""A process that keeps a shell while the server reloads: shell.py SOCKET SECONDS COMMAND...

Its client sends packets: "k" and keys, or "s" and rows and columns. It gets a reset of the terminal and the last 64 KB of
output in one packet, then more output. Without a client for SECONDS, the shell gets SIGHUP, as from a modem.
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

try:
    while time.monotonic() < until:
        ended = ended or os.waitpid(child, os.WNOHANG)[0]
        ready = select.select([listener, terminal] + [client] * bool(client), [], [], 0 if ended else 1)[0]
        if terminal in ready:
            piece = os.read(terminal, 16384)
            text = (text + piece)[-65536:]
        elif ended:
            break  # a process in the background may keep the terminal open
        try:
            if terminal in ready and client:
                client.sendall(piece)  # while the client does not read, the shell waits
            if client in ready:
                packet = client.recv(1 << 18)
                kind, rest = packet[:1], packet[1:]
                if kind == b"s":
                    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", *map(int, rest.split()), 0, 0))
                while kind == b"k" and rest and select.select([], [terminal], [], 1)[1]:  # unread keys are lost
                    rest = rest[os.write(terminal, rest):]
                client = client if packet else None
            if listener in ready:
                client = listener.accept()[0]
                client.settimeout(10)
                client.sendall(b"\x1bc" + text)
        except (ConnectionError, socket.timeout):
            client = None
        until = time.monotonic() + seconds if client else until
except OSError:
    pass  # EIO: the shell has ended
finally:
    os.unlink(path)
    os.close(terminal)
    if not ended:
        os.kill(child, signal.SIGHUP)
        time.sleep(2)
        os.kill(child, signal.SIGKILL)
