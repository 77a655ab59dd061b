"""Shows what a service manager, or another parent of the server, has left in this process."""
import os
import subprocess
import sys


def environment(environ, start_response):
    names = ("LISTEN_", "NOTIFY_", "WATCHDOG_", "FAPWS_")
    ours = ("ALLOW_ROOT", "_TIMEOUT", "_WAIT")
    return " ".join(sorted(n for n in os.environ if n.startswith(names) and not n.endswith(ours))) or "clean"


def child(environ, start_response):
    """Returns the sockets that a child inherits by default."""
    code = """
import os
for fd in range(3, 200):
    try:
        print(fd, os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:
        pass
"""
    out = subprocess.run(
        [sys.executable, "-S", "-c", code], close_fds=False, capture_output=True, text=True, check=True
    )
    return "".join(line for line in out.stdout.splitlines(True) if "socket:" in line) or "none"


def mask(environ, start_response):
    now = os.umask(0)
    os.umask(now)
    return f"{now:03o}"


def identity(environ, start_response):
    """Returns the user of this process, and whether it can become root again."""
    try:
        os.setuid(0)
        again = "root again"
    except PermissionError:
        again = "for good"
    names = " ".join(os.environ.get(n, "-") for n in ("HOME", "USER", "LOGNAME"))
    return f"{os.getresuid()} {os.getresgid()} {os.getgroups()} {names} {again}"


PATHS = [
    ("/identity", identity),
    ("/environment", environment),
    ("/child", child),
    ("/umask", mask),
    ("/", lambda e, s: "served by " + e["SERVER_NAME"]),
]
