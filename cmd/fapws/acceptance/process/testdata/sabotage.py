"""Changes descriptors, flags of descriptors, and limits of the process that the server needs."""
import fcntl
import os
import resource
import socket
import stat

from descriptors import of_kind


def listeners():
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            with socket.socket(fileno=os.dup(fd)) as s:
                if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield fd
        except OSError:
            pass


def close():
    for fd in list(listeners()):
        os.close(fd)


def replace():
    null = os.open(os.devnull, os.O_RDONLY)
    for fd in list(listeners()):
        os.dup2(null, fd)


def blocking():
    for fd in list(listeners()):
        fcntl.fcntl(fd, fcntl.F_SETFL, 0)


def shutdown():
    for fd in list(listeners()):
        with socket.socket(fileno=os.dup(fd)) as s:
            s.shutdown(socket.SHUT_RDWR)


def files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def standard():
    for fd in (0, 1, 2):
        os.close(fd)


WAYS = {
    "epoll": lambda: os.close(of_kind("epoll")[0]),
    "event": lambda: os.close(of_kind("event")[0]),
    "standard": standard,
    "close": close,
    "replace": replace,
    "blocking": blocking,
    "shutdown": shutdown,
    "files": files,
}


def sabotage(environ, start_response):
    WAYS[environ["QUERY_STRING"]]()
    return "done"


def pid(environ, start_response):
    return str(os.getpid())


def fails(environ, start_response):
    raise ValueError("for the error log")


PATHS = [("/sabotage", sabotage), ("/pid", pid), ("/fails", fails)]
