package process_test

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

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
		s.SignalLogs(syscall.SIGTERM, "info stopping")
		if !m.Inline() {
			for _, w := range idle {
				w.Closed()
			}
			fapwstest.Eventually(t, "no connection comes any more", func() bool { return !fapwstest.Listens("tcp", s.Address) })
		}
		fapwstest.Write(t, folder+"/go", "")
		fapwstest.Truef(t, busy.Answer().Is(t, "waited").Close || m.Inline(), "no Connection: close")
		busy.Closed()
		n, err := io.Copy(io.Discard, body)
		fapwstest.Truef(t, n == 30_000_000 && err == nil, "%d bytes, %v", n, err)
		s.EndsWith(0)
		fapwstest.Truef(t, !fapwstest.Listens("tcp", s.Address), "a process still listens")
	})
}

func TestStopFinishesARequestWhoseBodyIsArriving(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "entered.py")
		w := s.DialSend("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		w.Head("POST")
		s.SignalLogs(syscall.SIGTERM, "info stopping")
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
	got := w.Ask(fapwstest.Request("POST", "/show/x", strings.Repeat("b", 300_000))).Want(t, 200).Object(t)
	for key, want := range map[string]string{
		// PEP 3333 forbids empty values for SERVER_NAME and SERVER_PORT.
		"REMOTE_ADDR": "", "PATH_INFO": "/x", "CONTENT_LENGTH": "300000", "SERVER_NAME": "localhost",
		"SERVER_PORT": "80",
	} {
		fapwstest.Equal[any](t, got[key], want)
	}
	s.Stop()
	fapwstest.Truef(t, !fapwstest.Exists(socket), "the socket's file is left")
}

func TestStopLogsMessagesOfProgramsAfterTheirResponse(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fapwstest.WriteProgram(t, folder+"/cgi/x",
		"#!/bin/sh\necho Content-Type: text/plain\necho\necho x\nexec >&-\nread line <go\necho at last >&2\n")
	fapwstest.Must(t, syscall.Mkfifo(folder+"/cgi/go", 0o600))
	fapwstest.Write(t, folder+"/fapws.toml", "bind = '127.0.0.1:0'\nerror-log = 'errors'\nworkers = 2\n"+
		"[[host]]\n[[host.route]]\nprefix = '/'\ncgi = 'cgi'\n")
	s := fapwstest.Command{Flags: []string{"-c", folder + "/fapws.toml"}, Dir: folder}.Started(t)
	s.Get("/x", 200).Is(t, "x\n")
	s.Signal(syscall.SIGTERM)
	program := fapwstest.Try(os.OpenFile(folder+"/cgi/go", os.O_WRONLY, 0)).Must(t)
	fmt.Fprintln(program)
	program.Close()
	s.Ended()
	fapwstest.Has(t, fapwstest.Read(t, folder+"/errors"), "/cgi/x: at last\n")
}

func TestShutdownDelayServesButIsNotReady(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "workers.py", "--shutdown-delay", "1h", "--health", "/healthz")
		kept := s.Dial()
		fapwstest.Truef(t, !kept.Fetch("/pid").Close, "the connection closes before the server is told to stop")
		s.Get("/healthz/ready", 200).Is(t, "ready\n")
		clients := underLoad(t, s, "/pid", 2, 2)
		clients.goesOn(100)
		s.SignalLogs(syscall.SIGTERM, "info stopping in 1h")
		fapwstest.Eventually(t, "a server that is not ready", func() bool {
			a := s.Ask("GET /healthz/ready HTTP/1.0\r\n\r\n")
			return a.StatusCode == 503 && a.Text == "stopping\n"
		})
		s.Get("/healthz", 200).Is(t, "alive\n")
		fapwstest.Eventually(t, "a response says that its connection closes", func() bool { return kept.Fetch("/pid").Close })
		kept.Closed()
		clients.goesOn(200)
		clients.unharmed()
		s.Signal(syscall.SIGQUIT)
		s.EndsWith(0)
	})
}

// The tool sets handlers of SIGTERM and SIGINT that call the previous handler. If there were no previous handler, the
// tool would end the process at once. The tool runs in sitecustomize, as ddtrace does, or in the application. Then it
// removes the modules that it has imported. Importing the module _signal a second time removes the application's signal
// handlers from Python's memory.
func TestStopWorksIfAToolHandlesTheSignal(t *testing.T) {
	tool := fapwstest.Source(t, "signaltool.py")
	const again = `
import signal, sys
for number in signal.SIGTERM, signal.SIGINT:
    signal.signal(number, lambda number, frame: sys.exit())
del sys.modules["_signal"]
import _signal
`
	for name, tt := range map[string]struct{ site, script, says string }{
		"sitecustomize":         {tool, "import signal\n", "passed on\n"},
		"application":           {"", tool, "passed on\n"},
		"module imported again": {"", again, "info stopping"},
	} {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			t.Run(name+", "+unix.SignalName(sig), func(t *testing.T) {
				fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
					folder := t.TempDir()
					fapwstest.Write(t, folder+"/app.py", tt.script+"\n"+saying("served"))
					fapwstest.Write(t, folder+"/sitecustomize.py", tt.site)
					s := fapwstest.Command{Script: folder + "/app.py", Env: []string{"PYTHONPATH=" + folder}}.Serve(t, m)
					s.Get("/", 200).Is(t, "served")
					s.SignalLogs(sig, tt.says)
					s.Says("info stopping")
					s.EndsWith(0)
				})
			})
		}
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
				s.Stop()
				s.Says("flushed\n")
			})
		})
	}
}

func TestQueuedRequestsAreAnsweredAtStop(t *testing.T) {
	for _, flags := range [][]string{nil, {"--workers", "1"}, {"--max-clients", "1"},
		{"--workers", "1", "--max-clients", "2"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
				s, folder := fapwstest.ServeSlow(t, m, flags...)
				busy := s.DialGet("/wait")
				fapwstest.FileSays(t, folder+"/entered", "yes")
				queued := s.DialMany(6, fapwstest.Get("/pid"))
				s.SignalLogs(syscall.SIGTERM, "info stopping")
				fapwstest.Write(t, folder+"/go", "")
				busy.Answer().Is(t, "waited")
				for _, w := range queued {
					w.Answer().Want(t, 200)
				}
				s.EndsWith(0)
			})
		})
	}
}

// A terminal or systemd sends a signal to all processes of the server. Workers may get the signal before the
// supervisor, and on a busy machine, the supervisor may get the signal much later.
func TestSignalToTheProcessGroupStopsTheServer(t *testing.T) {
	const own = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *a: " +
		"sys.exit(5))\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
	const served = "PATHS = [('/', lambda environ, start_response: 'served')]\n"
	const async = `
async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
`
	replaces := regexp.MustCompile("replacing worker|starting a new one|Traceback")
	for name, text := range map[string]string{"WSGI": served, "own handler": own + served, "own handler, ASGI": own +
		async} {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			t.Run(fmt.Sprint(name, " ", sig), func(t *testing.T) {
				t.Parallel()
				script := fapwstest.Write(t, t.TempDir()+"/app.py", text)
				said := ""
				for range 5 {
					s := fapwstest.Command{Script: script, Complains: true}.Serve(t, fapwstest.Workers)
					s.HasWorkers(2)
					s.Get("/", 200).Is(t, "served")
					fapwstest.Kill(t, sig, s.Workers()...)
					// A tool may need this time between the signals to two processes.
					time.Sleep(20 * time.Millisecond)
					s.Signal(sig)
					s.EndsWith(0)
					if said = s.Stderr.String(); !replaces.MatchString(said) {
						return
					}
				}
				t.Errorf("%s", said)
			})
		}
	}
}
