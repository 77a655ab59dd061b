"""A process that keeps a shell while the server reloads: shell.py SOCKET SECONDS COMMAND...

Its clients send keys, or SIZE and two bytes: rows and columns. The last one that has sent a size gets a reset of the
terminal, the last 32 KB of output, then more output. Without it for SECONDS, the shell gets SIGHUP, as from a modem.
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

SIZE, RESET, POSITION = b"\xff", b"\x1bc", b"\x1b[6n"  # SIZE is not a part of any text in UTF-8
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

clients, current, until = [], None, time.monotonic() + seconds
keys, output, unsent = b"", b"", b""
with suppress(OSError):  # of the terminal: the shell has ended
    while current or time.monotonic() < until:
        reading = [listener, *clients] + [terminal] * (not unsent)  # while the client is behind, the shell waits
        readable, writable, _ = select.select(reading, [current] * bool(unsent) + [terminal] * bool(keys), [], 1)
        if terminal in writable:
            keys = keys[os.write(terminal, keys):]
        if current in writable:
            with suppress(OSError):  # it has disconnected
                current.send(unsent)
            unsent = b""
        if terminal in readable:
            piece = os.read(terminal, 16384)
            output = (output + piece).replace(POSITION, b"")[-32768:]  # this question must not be answered again
            unsent = piece if current else b""
        if listener in readable:
            clients.append(listener.accept()[0])
        for client in filter(clients.__contains__, readable):
            packet = client.recv(65536)
            if packet[:1] == SIZE:
                fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", packet[1], packet[2], 0, 0))
                if client is not current:
                    current, unsent = client, RESET + output
            elif packet:
                keys += packet
            else:
                clients.remove(client)
                if client is current:
                    current, unsent, until = None, b"", time.monotonic() + seconds
os.unlink(path)
for client in clients:
    client.close()
os.close(terminal)  # the shell gets SIGHUP
time.sleep(2)
os.kill(child, signal.SIGKILL)
