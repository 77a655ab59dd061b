"""Starts processes in every way, in handlers and while the script is loaded."""
import concurrent.futures
import json
import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

from fapws import channel, subscribers, publish
from fapws.base import Environ, Start_response  # noqa: F401 - a spawned child must import them, too

# A child that imports this script also runs this call, which must have no effect there.
publish("news", "once")

folder = sys.argv[1]


def double(n):
    return 2 * n


def feed(queue, n):
    queue.put([n, os.getpid()])


forking = multiprocessing.get_context("fork")
spawning = multiprocessing.get_context("spawn")

serving = multiprocessing.get_context("forkserver")

if __name__ == "__main__":  # A child that imports this script skips this part.
    with forking.Pool(2) as early:
        at_import = early.map(double, range(5))
    early.join()


def descriptors():
    """Returns the kind and number of each open descriptor of this process, except its three standard streams."""
    seen = []
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2:
            try:
                mode = os.fstat(fd).st_mode
            except OSError:
                continue
            seen.append(("socket" if stat.S_ISSOCK(mode) else os.readlink("/proc/self/fd/%d" % fd), fd))
    return seen


def sockets_with_names():
    names = []
    for kind, fd in descriptors():
        if kind == "socket":
            s = socket.socket(fileno=os.dup(fd))
            name = s.getsockname()
            if name:
                names.append([str(name), bool(s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))])
            s.close()
    return names


def after_fork(environ, start_response):
    """Returns the descriptors that a forked child has inherited from the server."""
    # The child keeps this socket, which belongs to the script.
    mine = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    mine.bind(("127.0.0.1", 0))
    mine.listen()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, json.dumps([sockets_with_names(), str(mine.getsockname())]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as f:
        text = f.read()
    os.waitpid(pid, 0)
    mine.close()
    return text


def after_exec(environ, start_response):
    """Starts a program without close_fds, and returns its descriptors."""
    code = "import os; print([os.readlink('/proc/self/fd/' + n) for n in os.listdir('/proc/self/fd') if int(n) > 3])"
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, close_fds=False, check=True).stdout


def linger(environ, start_response):
    """Starts a child that runs until the test creates the file "go"."""
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):  # The test waits until these streams are closed.
            os.dup2(null, stream)
        while os.path.isdir(folder) and not os.path.exists(os.path.join(folder, "go")):
            time.sleep(0.01)
        os._exit(0)
    threading.Thread(target=os.waitpid, args=(pid, 0), daemon=True).start()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"left ", b"a child"])


def kill(environ, start_response):
    """Kills a child by SIGTERM, and returns the negative signal number from the child's wait status."""
    pid = os.fork()
    if pid == 0:
        while True:
            time.sleep(1)
    os.kill(pid, signal.SIGTERM)
    return str(-os.WTERMSIG(os.waitpid(pid, 0)[1]))


def speaks(environ, start_response):
    """Calls write() in a child. The text must not reach a client."""
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    pid = os.fork()
    if pid == 0:
        write(b"from the child")
        # If the server's signal handler ran in the child, it would write to a descriptor that belongs to the server.
        os.kill(os.getpid(), signal.SIGUSR1)
        os._exit(3)
    status = os.waitpid(pid, 0)[1]
    return [b"%d" % os.WEXITSTATUS(status)]


def in_generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"parent,"
    pid = os.fork()
    if pid == 0:
        yield b"child"
    yield b"%d" % os.WEXITSTATUS(os.waitpid(pid, 0)[1])


def crowd(environ, start_response):
    """Starts as many children as the query says. They exit at the same moment. Returns their exit codes."""
    n = int(environ["QUERY_STRING"])
    reading, writing = os.pipe()
    children = []
    for i in range(n):
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(i % 200)
        children.append(pid)
    os.close(reading)
    os.close(writing)
    time.sleep(0.01)  # By now, all children have exited, but none was waited for.
    codes = [os.WEXITSTATUS(os.waitpid(pid, 0)[1]) for pid in children]
    return str(sum(code == i % 200 for i, code in enumerate(codes)))


def popens(environ, start_response):
    n = int(environ["QUERY_STRING"])
    children = [subprocess.Popen(["/bin/sh", "-c", "exit %d" % (i % 200)]) for i in range(n)]
    return str(sum(child.wait() == i % 200 for i, child in enumerate(children)))


def process(context):
    def run(environ, start_response):
        queue = context.Queue()
        children = [context.Process(target=feed, args=(queue, i)) for i in range(3)]
        for child in children:
            child.start()
        got = sorted(queue.get(timeout=120) for _ in children)
        for child in children:
            child.join()
        assert len({pid for _, pid in got} | {os.getpid()}) == 4
        return repr([n for n, _ in got] + [child.exitcode for child in children])

    return run


def pool(context):
    def run(environ, start_response):
        with context.Pool(2) as workers:
            result = workers.map(double, range(5))
        workers.join()
        return repr(result)

    return run


kept = []


def executor(context):
    def run(environ, start_response):
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as workers:
            return repr(list(workers.map(double, range(5))))

    return run


def keep_executor(environ, start_response):
    if not kept:
        kept.append(concurrent.futures.ProcessPoolExecutor(2, mp_context=forking))
    return str(kept[0].submit(double, 21).result())


signal.signal(signal.SIGUSR1, lambda number, frame: None)

def say(queue):
    for f in (lambda: publish("news", "from a child"), lambda: subscribers("news")):
        try:
            queue.put(repr(f()))
        except RuntimeError as error:
            queue.put(str(error))


def speaks_up(context):
    """Returns a handler that publishes in a child process, and returns the errors of the child."""
    def handler(environ, start_response):
        queue = context.Queue()
        child = context.Process(target=say, args=(queue,))
        child.start()
        told = [queue.get(timeout=120), queue.get(timeout=120)]
        child.join()
        return "\n".join(told)
    return handler


PATHS = [
    ("/after-fork", after_fork), ("/after-exec", after_exec), ("/linger", linger), ("/kill", kill), ("/speaks", speaks),
    ("/in-generator", in_generator), ("/crowd", crowd), ("/popens", popens), ("/process/fork", process(forking)),
    ("/process/spawn", process(spawning)), ("/process/forkserver", process(serving)), ("/pool/fork", pool(forking)),
    ("/executor/fork", executor(forking)), ("/executor/spawn", executor(spawning)), ("/executor/kept", keep_executor),
    ("/news", channel("news")), ("/child-publishes/fork", speaks_up(forking)),
    ("/child-publishes/spawn", speaks_up(spawning)), ("/at-import", lambda e, s: repr(at_import)),
    ("/", lambda e, s: "quick"),
]
