package python_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A signal that the application takes interrupts a handler on the main thread, whatever that waits for, and Python's code.
func TestSignalInterruptsHandler(t *testing.T) {
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
    with subprocess.Popen("cat", stdin=subprocess.PIPE, stdout=none, stderr=none) as child:  # it ends with the server at the latest
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
		for range 3 {
			for _, way := range []string{"loop", "sleep", "recv", "select", "lock", "event", "subprocess"} {
				s.Get("/?real-"+way, 200).Is(t, "interrupted")
			}
		}
		s.Get("/?alarm-sleep", 200).Is(t, "interrupted")
		s.Get("/processor", 200).Is(t, "interrupted")
	})
}
