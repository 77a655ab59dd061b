package python_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The server's own signals have a function; all other signals have the value that python3 gives them, also if the
// server was started with an ignored signal. Each value can be set again, as code does that handles a signal for some
// time only.
func TestSignalHasTheHandlerOfPython3OrOneOfTheServer(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import signal, subprocess, sys

OWN = "SIGTERM SIGINT SIGQUIT SIGHUP SIGUSR1 SIGUSR2 SIGTTIN SIGTTOU".split()
PYTHON3 = "import signal; print([str(signal.getsignal(n)) for n in range(1, signal.NSIG)])"
in_python3 = eval(subprocess.check_output([sys.executable, "-c", PYTHON3]))
found = []

for number in range(1, signal.NSIG):
    now = signal.getsignal(number)
    own = number in [getattr(signal, name) for name in OWN]
    if not (callable(now) if own else str(now) == in_python3[number - 1]):
        found.append(f"{number}: {now!r}, not {in_python3[number - 1]}")
    if number in (signal.SIGKILL, signal.SIGSTOP) or number not in signal.valid_signals():
        continue
    for each in range(2):
        before = signal.signal(number, lambda *_: None)
        if before != now:
            found.append(f"{number}: before {before!r}, not {now!r}")
        signal.signal(number, before)
    if signal.getsignal(number) != now:
        found.append(f"{number}: after {signal.getsignal(number)!r}, not {now!r}")

alarm = signal.getsignal(signal.SIGALRM)
PATHS = [("/alarm", lambda environ, start_response: str(alarm == signal.SIG_IGN)),
         ("/", lambda environ, start_response: "\n".join(found) or "the same")]
`)
	fapwstest.InEach(t, append(fapwstest.Modes, fapwstest.Forks), func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, script)
		s.Get("/", 200).Is(t, "the same")
		s.Reload()
		s.Get("/", 200).Is(t, "the same")
		if m.Workers() || m.Forks() {
			return
		}
		s = fapwstest.Command{Script: script, Shell: "trap '' ALRM"}.Serve(t, m)
		s.Get("/alarm", 200).Is(t, "True")
	})
}

// A handler of the application that calls the handler before it stays in place: it gets each further signal, too.
func TestSignalHandlerMayCallTheOneOfTheServer(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import os, signal

def handle(number, frame):
    os.write(2, b"handled %d\n" % number)  # a signal may interrupt print, which must not be called again
    before[number](number, frame)

before = {number: signal.signal(number, handle)
          for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTERM)}
PATHS = [("/", lambda environ, start_response: "served")]
`)
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		log := t.TempDir() + "/access"
		s := fapwstest.Serve(t, m, script, "--access-log", log)
		for range 2 {
			s.Signaled(syscall.SIGTTIN, fmt.Sprintf("handled %d\n", syscall.SIGTTIN))
			s.Reload()
			fapwstest.Must(t, os.Rename(log, log+".old"))
			s.Signal(syscall.SIGUSR1)
			fapwstest.Eventually(t, "a new access log", func() bool { return fapwstest.Exists(log) })
		}
		s.Stop()
		said := s.Stderr.String()
		for sig, want := range map[syscall.Signal]int{syscall.SIGHUP: 2, syscall.SIGUSR1: 2, syscall.SIGTERM: 1} {
			fapwstest.Equalf(t, strings.Count(said, fmt.Sprintf("handled %d\n", sig)), want, "handled %v", sig)
		}
	})
}

// A handler runs on the main thread and sets a signal handler that raises an exception.
func TestSignalInterruptsAHandlerOnTheMainThread(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import select, signal, socket, subprocess, threading, time

class Interrupted(Exception):
    pass

def interrupt(number, frame):
    raise Interrupted

def loop():
    end = time.monotonic() + 120
    while time.monotonic() < end:
        pass

def process():
    none = subprocess.DEVNULL
    # it ends with the server at the latest
    with subprocess.Popen("cat", stdin=subprocess.PIPE, stdout=none, stderr=none) as child:
        child.wait()

def lock():
    mutex = threading.Lock()
    mutex.acquire()
    mutex.acquire(timeout=120)

left, right = socket.socketpair()
WAYS = {
    "loop": loop,
    "sleep": lambda: time.sleep(120),
    "recv": lambda: left.recv(1),
    "select": lambda: select.select([left], [], [], 120),
    "lock": lock,
    "event": lambda: threading.Event().wait(120),
    "subprocess": process,
}
TIMERS = {"alarm": lambda: signal.alarm(1), "real": lambda: signal.setitimer(signal.ITIMER_REAL, 0.05)}

def handler(environ, start_response):
    timer, way = environ["QUERY_STRING"].split("-")
    signal.signal(signal.SIGALRM, interrupt)
    TIMERS[timer]()
    try:
        WAYS[way]()
    except Interrupted:
        return "interrupted"
    return "waited to the end"

def processor(environ, start_response):
    signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, 0.05)
    try:
        loop()
    except Interrupted:
        return "interrupted"
    return "waited to the end"

PATHS = [("/processor", processor), ("/", handler)]
`)
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		flags := []string{"--threads", "1"}
		if m.Inline() {
			flags = nil
		}
		s := fapwstest.Command{Script: script, Flags: flags}.Serve(t, m)
		for _, way := range []string{"loop", "sleep", "recv", "select", "lock", "event", "subprocess"} {
			s.Get("/?real-"+way, 200).Is(t, "interrupted")
		}
		s.Get("/?alarm-sleep", 200).Is(t, "interrupted")
		s.Get("/processor", 200).Is(t, "interrupted")
	})
}

func TestSignalHandlerThatExitsStopsTheServer(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import atexit, functools, os, signal, sys, time

def stop(number, frame):
    clean(7)

def clean(code):
    sys.exit(code)

class Stopper:
    def __call__(self, *_):
        sys.exit(8)

signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGUSR1, Stopper())
signal.signal(signal.SIGUSR2, functools.partial(lambda code, *_: sys.exit(code), 9))
atexit.register(print, "bye")

def waits(environ, start_response):
    os.write(2, b"waits\n")
    time.sleep(120)

def streams(environ, start_response):
    start_response("200 OK", [])
    yield b"first"
    waits(environ, start_response)

def cleans(environ, start_response):
    try:
        waits(environ, start_response)
    except BaseException:
        time.sleep(0.01)
        raise

def exits(environ, start_response):
    sys.exit(10)

PATHS = [("/waits", waits), ("/streams", streams), ("/cleans", cleans), ("/exits", exits)]
`)
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		for _, c := range []struct {
			path string
			sig  syscall.Signal
			code int
		}{{"/waits", syscall.SIGTERM, 7}, {"/waits", syscall.SIGINT, 0}, {"/waits", syscall.SIGUSR1, 8},
			{"/streams", syscall.SIGUSR2, 9}, {"/cleans", syscall.SIGTERM, 7}} {
			t.Run(fmt.Sprint(c.path, c.sig), func(t *testing.T) {
				flags := []string{"--threads", "1"}
				if m.Inline() {
					flags = nil
				}
				s := fapwstest.Command{Script: script, Flags: flags}.Serve(t, m)
				s.Dial().Send(fapwstest.Get(c.path))
				s.Says("waits\n")
				s.Signal(c.sig)
				s.EndsWith(c.code)
				fapwstest.Equalf(t, s.Stdout.String(), "bye\n", "output %q", s.Stdout)
			})
		}
		s := fapwstest.Command{Script: script}.Serve(t, m)
		s.Get("/exits", 500)
		s.Get("/exits", 500)
		s.Complains = true
		s.Signal(syscall.SIGTERM)
		s.EndsWith(7)
	})
}
