import ctypes
import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
HERE = os.path.dirname(os.path.abspath(__file__))
# The script needs this file while it is loaded. Afterwards, the sandbox denies it.
if len(sys.argv) > 1:
    open(sys.argv[1]).close()


def called(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def connect(port, kind=socket.SOCK_STREAM, protocol=0):
    with socket.socket(socket.AF_INET, kind, protocol) as s:
        s.connect(("127.0.0.1", int(port)))


def fast_open(port):
    with socket.socket() as s:
        s.sendto(b"x", 0x20000000, ("127.0.0.1", int(port)))  # MSG_FASTOPEN


def listen(port):
    with socket.socket() as s:
        s.bind(("127.0.0.1", int(port)))


def listen_anywhere():
    with socket.socket() as s:
        s.listen()
        return s.getsockname()[1]


def abstract(name):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\0" + name)


def write(path):
    with open(path, "a") as f:
        f.write("# changed\n")


def replace(paths):
    """Replaces a file by a symbolic link to a target. The server still uses the path of the file."""
    path, _, target = paths.partition(",")
    if os.path.lexists(path):
        os.rename(path, path + ".old")
    os.symlink(target, path)


def privileged(path):
    with open(path, "w") as f:
        os.fchmod(f.fileno(), 0o4755)


def truncate(path):
    os.truncate(path, 0)


def execute(path):
    return subprocess.run([path], capture_output=True, text=True).stdout


def fork_exec(call):
    pid = os.fork()
    if pid == 0:
        try:
            call()
            os._exit(0)
        except OSError as e:
            os._exit(e.errno)
    status = os.WEXITSTATUS(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(status, os.strerror(status))


def from_memory():
    fd = os.memfd_create("program", 0)
    with open("/proc/self/exe", "rb") as f:
        os.write(fd, f.read(1 << 12))
    fork_exec(lambda: os.execve(fd, ["x"], {}))


def in_thread(call):
    """Calls the function on a thread that was started before the process entered the sandbox."""
    done.clear()
    jobs.append(call)
    wake.set()
    done.wait()
    result = results.pop()
    if isinstance(result, Exception):
        raise result
    return result


jobs, results = [], []
wake, done = threading.Event(), threading.Event()


def old_thread():
    while wake.wait():
        wake.clear()
        try:
            results.append(jobs.pop()())
        except Exception as e:
            results.append(e)
        done.set()


threading.Thread(target=old_thread, daemon=True).start()


def temporary():
    with tempfile.NamedTemporaryFile("w+") as f:
        f.write("x" * 1000)
        f.flush()
        os.makedirs(f.name + ".d/e")
        os.rename(f.name + ".d/e", f.name + ".e")
        return os.path.dirname(f.name)


def late():
    import calendar  # noqa: F401
    import sqlite3
    import ssl
    ssl.create_default_context()
    return sqlite3.connect(":memory:").execute("select 7").fetchone()[0]


def status():
    with open("/proc/self/status") as f:
        lines = dict(line.split(":\t") for line in f.read().splitlines() if ":\t" in line)
    return lines["NoNewPrivs"] + lines["Seccomp"]


def capabilities():
    with open("/proc/thread-self/status") as f:
        return [int(line.split()[1], 16) for line in f if line.startswith(("CapPrm", "CapEff"))]


X86 = os.uname().machine == "x86_64"


def system_call(x86, arm, *arguments):
    """Returns a function that makes a system call. The number of the system call depends on the processor."""
    return lambda: called(libc.syscall(x86 if X86 else arm, *arguments))


def channel():
    """Returns the descriptor of the connection to the supervisor."""
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as s:
                if s.type == socket.SOCK_SEQPACKET:
                    return int(name)
        except OSError:
            pass


def order(kind):
    """Sends a forged message to the supervisor, and waits for its effect."""
    os.write(channel(), json.dumps({"Kind": kind, "Text": "{}"}).encode())
    time.sleep(600)


def pidfd(pid):
    return called(libc.syscall(434, pid, 0))


def sibling(pids):
    """Returns the PID in pids that is not this process."""
    return next(int(pid) for pid in pids.split(":") if int(pid) != os.getpid())


def of_sibling(name, look):
    """Returns a function that reads a file of the other worker in /proc."""
    return lambda pids: look(f"/proc/{sibling(pids)}/{name}")


WAYS = {
    "read": lambda path: len(open(path, "rb").read()),
    "list": lambda path: len(os.listdir(path)),
    "write": write,
    "own": lambda: write(__file__),
    "truncate": truncate,
    "remove": os.remove,
    "create": lambda path: open(path, "w").close(),
    "link": lambda path: os.symlink("/etc", path),
    "connect": connect,
    "multipath": lambda port: connect(port, protocol=262),
    "fastopen": fast_open,
    "listen": listen,
    "listen-anywhere": listen_anywhere,
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "pair": lambda: len(socket.socketpair()),
    "replace": replace,
    "privileged": privileged,
    "capabilities": capabilities,
    "abstract": abstract,
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "vsock": lambda: socket.socket(40, socket.SOCK_STREAM),
    "exec": execute,
    "memory": from_memory,
    "kill": lambda: os.kill(os.getppid(), 0),
    "kill-pidfd": lambda: called(libc.syscall(424, pidfd(os.getppid()), 0, None, 0)),
    "kill-sibling": lambda pids: os.kill(sibling(pids), 0),
    "order": order,
    "hardlink": lambda paths: os.link(*paths.split(",")),
    "rename": lambda paths: os.rename(*paths.split(",")),
    "memory-of-sibling": of_sibling("mem", open),
    "environment-of-sibling": of_sibling("environ", open),
    "descriptors-of-sibling": of_sibling("fd/1", open),
    "root-of-sibling": of_sibling("root", os.listdir),
    "ptrace-sibling": lambda pids: called(libc.ptrace(16, sibling(pids), 0, 0)),
    "own-memory": lambda: open("/proc/self/mem", "r+b").close(),
    "kernel-settings": lambda: open("/proc/self/oom_score_adj", "w").close(),
    "io-uring": system_call(425, 425, 8, ctypes.create_string_buffer(120)),
    "userfaultfd": system_call(323, 282, 1),
    "bpf": system_call(321, 280, 0, ctypes.create_string_buffer(120), 120),
    "pivot": system_call(155, 41, b"/", b"/"),
    "read-of": lambda: system_call(310, 270, os.getppid(), None, 0, None, 0, 0)(),
    "descriptor-of": lambda: system_call(438, 438, pidfd(os.getppid()), 0, 0)(),
    "handle": system_call(304, 265, 0, None, 0),
    "priority-of": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
    "scheduler-of": lambda: os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0)),
    "shared": system_call(29, 194, 0, 4096, 0o1600),
    "netfilter": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12),
    "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
    "nice": lambda: os.nice(0),
    "ptrace": lambda: called(libc.ptrace(16, os.getppid(), 0, 0)),
    "memory-of": lambda: open(f"/proc/{os.getppid()}/mem", "rb").read(1),
    "environment-of": lambda: len(open(f"/proc/{os.getppid()}/environ", "rb").read()),
    "limits-of": lambda: called(libc.prlimit(os.getppid(), 7, None, ctypes.create_string_buffer(16))),
    "unshare": lambda: called(libc.unshare(0x10000000)),
    "namespace": lambda: called(
        libc.syscall({"x86_64": 56, "aarch64": 220}[os.uname().machine], 0x10000000 | 17, 0, 0, 0, 0)
    ),
    "mount": lambda: called(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
    "keyring": lambda: called(libc.syscall({"x86_64": 250, "aarch64": 219}[os.uname().machine], 0, -3, 1)),
    "terminal": lambda: fcntl.ioctl(0, termios.TIOCSTI, b"x"),
    "temporary": temporary,
    "late": late,
    "status": status,
    "fork": lambda: fork_exec(lambda: None),
    "root": lambda: called(libc.setuid(0)),
}


def attack(environ, start_response):
    query = environ["QUERY_STRING"]
    way, _, about = query.partition(",")
    call = (lambda: WAYS[way](about)) if about else WAYS[way]
    try:
        return "done: %s" % (in_thread(call) if environ["PATH_INFO"] == "/thread" else call(),)
    except OSError as e:
        return "refused: " + errno.errorcode[e.errno]


def size(environ, start_response):
    return str(len(environ["wsgi.input"].read()))


def fails(environ, start_response):
    raise ValueError("in the sandbox")


def pid(environ, start_response):
    return str(os.getpid())


PATHS = [("/attack", attack), ("/thread", attack), ("/size", size), ("/fails", fails), ("/pid", pid)]
