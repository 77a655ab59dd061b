import os
import socket
import stat
import time


def watched(fd):
    """Returns the descriptors that an epoll descriptor watches (proc(5), fdinfo)."""
    with open(f"/proc/self/fdinfo/{fd}") as text:
        return [int(line.split()[1]) for line in text if line.startswith("tfd:")]


def links():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass
    return found


def sockets():
    for fd in links():
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            duplicate = os.dup(fd)
        except OSError:  # The server has closed this descriptor meanwhile.
            continue
        with socket.socket(fileno=duplicate) as s:
            yield fd, s


def of_kind(kind):
    listening = {fd: s.family for fd, s in sockets() if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)}
    if kind == "listener":
        return list(listening)
    if kind == "channel":
        return [fd for fd, s in sockets() if s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_SEQPACKET]
    if kind == "range":
        return range(3, 20)
    known = links()
    for fd, link in known.items():
        if link == "anon_inode:[eventpoll]":
            # The server's epoll descriptor watches a TCP listener. The epoll descriptor of Go's runtime does not.
            if any(listening.get(w) == socket.AF_INET for w in watched(fd)):
                return {
                    "epoll": [fd], "event": [w for w in watched(fd) if known.get(w) == "anon_inode:[eventfd]"],
                }[kind]


def close(environ, start_response):
    for fd in of_kind(environ["QUERY_STRING"]):
        try:
            os.close(fd)
        except OSError:
            pass
    return "closed"


def pid(environ, start_response):
    return str(os.getpid())


def sleep(environ, start_response):
    with open(environ["QUERY_STRING"] + "/entered", "w") as f:
        f.write("yes")
    time.sleep(1000)


PATHS = [("/close", close), ("/pid", pid), ("/sleep", sleep)]
