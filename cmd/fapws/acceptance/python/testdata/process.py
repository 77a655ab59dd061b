import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

taken = []
# The database can be used only by the thread that runs the script.
db = sqlite3.connect(":memory:")
db.execute("create table t (n)")
ticks = 0


def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.005)


threading.Thread(target=tick, daemon=True).start()
signal.signal(signal.SIGUSR1, lambda number, frame: taken.append(number))
signal.signal(signal.SIGALRM, lambda number, frame: taken.append(number))


def prints(environ, start_response):
    print("printed", environ["QUERY_STRING"])
    time.sleep(0.001)
    return "ok"


def fork(environ, start_response):
    pid = os.fork()
    if pid == 0:
        if environ["QUERY_STRING"] == "returns":
            return "from the child"  # No client must receive this response of the child process.
        if environ["QUERY_STRING"] == "raises":
            raise SystemExit(7)
        os._exit(len([str(i) for i in range(7)]))
    status = os.waitpid(pid, 0)[1]
    return str(os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status))


def child(environ, start_response):
    out = subprocess.run([sys.executable, "-c", "print(6 * 7)"], stdout=subprocess.PIPE, check=True).stdout
    return out + subprocess.check_output("cat; exit 0", shell=True, input=b"through a pipe")


def database(environ, start_response):
    db.execute("insert into t values (1)")
    return str(db.execute("select count(*) from t").fetchone()[0])


def alarm(environ, start_response):
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    return "set"


def main_thread(environ, start_response):
    return str(threading.current_thread() is threading.main_thread())


PATHS = [
    ("/print", prints),
    ("/fork", fork),
    ("/subprocess", child),
    ("/database", database),
    ("/alarm", alarm),
    ("/taken", lambda e, s: repr(sorted(taken))),
    ("/ticks", lambda e, s: str(ticks)),
    ("/main-thread", main_thread),
    ("/pid", lambda e, s: str(os.getpid())),
]
