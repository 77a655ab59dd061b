"""Says which process answers, and ends this process if it is told to."""

import os
import time

NAME = "one"


def descriptors():
    """Return what the open descriptors refer to."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass  # closed meanwhile
    return found


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/die":
        os._exit(9)
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/env":
        return ["\n".join(f"{k}={v}" for k, v in sorted(os.environ.items())).encode()]
    if environ["PATH_INFO"] == "/who":
        return [f"{os.getuid()} {os.getgid()} {os.getppid()}".encode()]
    if environ["PATH_INFO"] == "/fds":
        return ["\n".join(descriptors()).encode()]
    return [f"{NAME} {len(body)} {os.getpid()}".encode()]
