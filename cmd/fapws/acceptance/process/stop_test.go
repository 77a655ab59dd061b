package process_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestStopFinishesActiveRequestsAndClosesIdleConnections(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s, folder := fapwstest.ServeSlow(t, m)
		large, busy := s.Dial(), s.Dial()
		worker := busy.Fetch("/pid").Text
		var idle []*fapwstest.Client
		fapwstest.Eventually(t, "an idle connection of the worker that will be busy", func() bool {
			w := s.Dial()
			idle = append(idle, w)
			return w.Fetch("/pid").Text == worker
		})
		large.Get("/large")
		body := large.Head("GET").Body
		busy.Get("/wait")
		fapwstest.FileSays(t, folder+"/entered", "yes")
		s.Signal(syscall.SIGTERM)
		s.Says("info stopping")
		if !m.Inline() {
			for _, w := range idle {
				w.Closed()
			}
			fapwstest.Eventually(t, "no connection comes any more", func() bool {
				return !fapwstest.Listens("tcp", s.Address)
			})
		}
		fapwstest.Write(t, folder+"/go", "")
		if a := busy.Answer().Is(t, "waited"); !a.Close && !m.Inline() {
			t.Error("no Connection: close")
		}
		busy.Closed()
		if n, err := io.Copy(io.Discard, body); n != 30_000_000 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		s.EndsWith(0)
		if fapwstest.Listens("tcp", s.Address) {
			t.Error("a process still listens")
		}
	})
}

func TestStopFinishesARequestWhoseBodyIsArriving(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "entered.py")
		w := s.Dial()
		w.Send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		w.Head("POST")
		s.Signal(syscall.SIGTERM)
		s.Says("info stopping")
		w.Send("body")
		w.Answer().Is(t, "4 bytes")
		w.Closed()
		s.Ended()
	})
}

func TestUnixSocketServesRequests(t *testing.T) {
	t.Parallel()
	socket := fapwstest.PublicFolder(t) + "/s" // the kernel limits the length of a socket's path (unix(7))
	s := fapwstest.Command{Script: "environ.py", Flags: []string{"--bind", "unix:" + socket}}.Start(t)
	s.Says(`(?m)unix:` + socket)
	w := fapwstest.Dial(t, "unix", socket)
	w.Send(fapwstest.Request("POST", "/show/x", strings.Repeat("b", 300_000)))
	got := w.Answer().Want(t, 200).Object(t)
	for key, want := range map[string]string{
		// PEP 3333 forbids empty values for SERVER_NAME and SERVER_PORT.
		"REMOTE_ADDR": "", "PATH_INFO": "/x", "CONTENT_LENGTH": "300000", "SERVER_NAME": "localhost",
		"SERVER_PORT": "80",
	} {
		if got[key] != want {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
	}
	s.Stop()
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket's file is left")
	}
}

func TestStopLogsMessagesOfProgramsAfterTheirResponse(t *testing.T) {
	for _, workers := range []string{"", "workers = 2\n"} {
		t.Run(workers, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			fapwstest.WriteProgram(t, folder+"/cgi/x",
				"#!/bin/sh\necho Content-Type: text/plain\necho\necho x\nexec >&-\nread line <go\necho at last >&2\n")
			fapwstest.Must(t, syscall.Mkfifo(folder+"/cgi/go", 0o600))
			fapwstest.Write(t, folder+"/fapws.toml", "bind = '127.0.0.1:0'\nerror-log = 'errors'\n"+workers+
				"[[host]]\n[[host.route]]\nprefix = '/'\ncgi = 'cgi'\n")
			s := fapwstest.Command{Flags: []string{"-c", folder + "/fapws.toml"}, Dir: folder}.Started(t)
			s.Get("/x", 200).Is(t, "x\n")
			s.Signal(syscall.SIGTERM)
			program, err := os.OpenFile(folder+"/cgi/go", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(program)
			program.Close()
			s.Ended()
			if text, err := os.ReadFile(folder + "/errors"); err != nil ||
				!strings.Contains(string(text), "/cgi/x: at last\n") {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
}

func TestShutdownDelayServesButIsNotReady(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "workers.py", "--shutdown-delay", "1h", "--health", "/healthz")
		kept := s.Dial()
		if kept.Fetch("/pid").Close {
			t.Error("the connection closes before the server is told to stop")
		}
		s.Get("/healthz/ready", 200).Is(t, "ready\n")
		clients := underLoad(t, s, "/pid", 2, 2)
		clients.goesOn(100)
		s.Signal(syscall.SIGTERM)
		s.Says("info stopping in 1h")
		fapwstest.Eventually(t, "a server that is not ready", func() bool {
			a := s.Ask("GET /healthz/ready HTTP/1.0\r\n\r\n")
			return a.StatusCode == 503 && a.Text == "stopping\n"
		})
		s.Get("/healthz", 200).Is(t, "alive\n")
		fapwstest.Eventually(t, "a response says that its connection closes", func() bool {
			return kept.Fetch("/pid").Close
		})
		kept.Closed()
		clients.goesOn(200)
		clients.unharmed()
		s.Signal(syscall.SIGQUIT)
		s.EndsWith(0)
	})
}

// The tool sets handlers of SIGTERM and SIGINT that call the previous handler. If there were no previous handler, the
// tool would end the process at once. The tool runs in sitecustomize, as ddtrace does, or in the application. Then it
// removes the modules that it has imported.
func TestStopWorksIfAToolHandlesTheSignal(t *testing.T) {
	const tool = `
import sys
loaded = set(sys.modules)
import signal
def end_at_once(number, frame):
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
def handle(number):
    before = signal.getsignal(number)
    if not callable(before):
        before = end_at_once
    def pass_on(number, frame):
        print("passed on", file=sys.stderr, flush=True)
        before(number, frame)
    signal.signal(number, pass_on)
handle(signal.SIGTERM)
handle(signal.SIGINT)
for name in set(sys.modules) - loaded:
    del sys.modules[name]
`
	const application = `
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
`
	for name, script := range map[string]string{"sitecustomize": "import signal\n", "application": tool} {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			t.Run(name+", "+unix.SignalName(sig), func(t *testing.T) {
				fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
					folder := t.TempDir()
					fapwstest.Write(t, folder+"/app.py", script+application)
					if name == "sitecustomize" {
						fapwstest.Write(t, folder+"/sitecustomize.py", tool)
					}
					s := fapwstest.Command{Script: folder + "/app.py", Env: []string{"PYTHONPATH=" + folder}}.Serve(t, m)
					s.Get("/", 200).Is(t, "served")
					s.Signal(sig)
					s.Says("passed on\n")
					s.Says("info stopping")
					s.EndsWith(0)
				})
			})
		}
	}
}

// Importing the module _signal a second time removes the application's signal handlers from Python's memory.
func TestStopWorksIfAToolImportsTheSignalModuleAgain(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import signal, sys
for number in signal.SIGTERM, signal.SIGINT:
    signal.signal(number, lambda number, frame: sys.exit())
del sys.modules["_signal"]
import _signal
PATHS = [("/", lambda environ, start_response: "served")]
`)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
				s := fapwstest.Command{Script: script}.Serve(t, m)
				s.Get("/", 200).Is(t, "served")
				s.Signal(sig)
				s.Says("info stopping")
				s.EndsWith(0)
			})
		})
	}
}

// After the last request, threads and atexit functions may use the rest of the graceful timeout, for example to send
// queued data.
func TestStopGivesThreadsAndAtexitTheGracefulTimeout(t *testing.T) {
	for name, flush := range map[string]string{"atexit": "import atexit; atexit.register(flush)",
		"thread": "threading.Thread(target=lambda: threading.main_thread().join() or flush()).start()"} {
		t.Run(name, func(t *testing.T) {
			fapwstest.InEach(t, append(fapwstest.Modes, fapwstest.Forks), func(t *testing.T, m fapwstest.Mode) {
				folder := t.TempDir()
				fapwstest.Write(t, folder+"/app.py", `
import sys, threading, time
def flush():
    time.sleep(6)
    print("flushed", file=sys.stderr, flush=True)
PATHS = [("/", lambda environ, start_response: "served")]
`+flush+"\n")
				s := fapwstest.Command{Script: folder + "/app.py"}.Serve(t, m)
				s.Get("/", 200).Is(t, "served")
				s.Signal(syscall.SIGTERM)
				s.EndsWith(0)
				s.Says("flushed\n")
			})
		})
	}
}
