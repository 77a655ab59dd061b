"""A process that keeps a shell while the server reloads: python3 -m shell SOCKET SECONDS COMMAND...

The client sends keys, or SIZE and two bytes: rows and columns. After a size, this process sends a reset of the
terminal, the last 32 KB of output, and then new output. If no client connects for SECONDS, the shell gets SIGHUP.
"""
import fcntl
import os
import pty
import select
import socket
import struct
import sys
import termios
import time
from contextlib import suppress

SIZE, RESET, POSITION = b"\xff", b"\x1bc", b"\x1b[6n"  # SIZE is a byte that UTF-8 text never contains
path, seconds, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(path + ".new")
listener.listen(4)
os.rename(path + ".new", path)  # after listen(), so that a process that finds the path can connect
if os.fork():
    os._exit(0)  # The server waits for the end of this process and of its output.
for number in range(3):
    os.dup2(os.open(os.devnull, os.O_RDWR), number)
child, terminal = pty.fork()
if not child:
    os.chdir("/")
    os.execvp("sh", ["sh", "-c", 'exec "$@"', "sh", *command])  # sh prints why a program does not start
os.set_blocking(terminal, False)

client, until, keys, output, unsent = None, time.monotonic() + seconds, b"", b"", RESET
with suppress(OSError):  # the shell has ended
    while client or time.monotonic() < until:
        # While output is unsent, read nothing from the shell, which then waits, too.
        sources = [listener, client, None if unsent else terminal]
        targets = [client if unsent else None, terminal if keys else None]
        readable, writable, _ = select.select(filter(None, sources), filter(None, targets), [], 1)
        if not readable and not writable and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break  # The shell has ended, but a background program still has the terminal open.
        if terminal in writable:
            keys = keys[os.write(terminal, keys):]
        if terminal in readable:
            piece = os.read(terminal, 16384)
            # Remove requests for the cursor's position, because the terminal must not answer an old request again.
            output = (output + piece).replace(POSITION, b"")[-32768:]
            unsent = piece if client else b""
        if client in writable:
            with suppress(OSError):  # the client has disconnected
                client.send(unsent)
            unsent = b""
        if client in readable:
            packet = b""
            with suppress(OSError):
                packet = client.recv(65536)
            if packet.startswith(SIZE):
                fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", packet[1], packet[2], 0, 0))
                unsent = RESET + output
            elif packet:
                keys += packet
            else:
                client, unsent, until = None, b"", time.monotonic() + seconds
        if listener in readable:  # A new client replaces the previous one.
            client, unsent = listener.accept()[0], b""
os.unlink(path)
if client:
    client.close()
os.close(terminal)  # the shell gets SIGHUP
time.sleep(2)
os.kill(child, 9)  # SIGKILL
