package python_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// hanging starts hang.py with a new directory.
func hanging(t *testing.T, m fapwstest.Mode, flags ...string) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	fapwstest.Must(t, syscall.Mkfifo(folder+"/fifo", 0o600))
	flags = append([]string{"--access-log", folder + "/access"}, flags...)
	return fapwstest.Command{Script: "hang.py", Args: []string{folder}, Flags: flags}.Serve(t, m), folder
}

// unblock lets the handlers that are blocked go on: one reads a byte, others the end.
func unblock(t *testing.T, folder string) {
	t.Helper()
	f, err := os.OpenFile(folder+"/fifo", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// EPIPE: the exception in the handler has ended it since it could be opened.
	if _, err := f.Write([]byte{0}); err != nil && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
}

// started is a request whose handler runs; answer has status 0 if the connection breaks.
type started struct {
	*fapwstest.Client
	answer chan *fapwstest.Answer
}

// starts asks for target until its handler has written another line to file: with a --timeout of a few seconds, a
// request may be late on a busy machine before its handler runs.
func starts(s *fapwstest.Server, target, file string) *started {
	s.T.Helper()
	lines := func() int {
		text, _ := os.ReadFile(file)
		return strings.Count(string(text), "\n")
	}
	before := lines()
	var r *started
	fapwstest.Eventually(s.T, target+" runs", func() bool {
		if r == nil {
			asked := &started{s.Dial(), make(chan *fapwstest.Answer, 1)}
			go func() {
				a, err := asked.Tries(fapwstest.Get(target))
				if err != nil {
					a = &fapwstest.Answer{Response: new(http.Response), Err: err}
				}
				asked.answer <- a
			}()
			r = asked
		}
		if lines() > before {
			return true
		}
		select {
		case <-r.answer:
			r = nil
		default:
		}
		return false
	})
	return r
}

// A handler that takes too long is shown, its client answered, and it ends.
func TestTimeout(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := hanging(t, m, "--timeout", "500ms")
		s.Until504("/spin", `(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} error GET /spin HTTP/1\.1 from 127\.0\.0\.1 port \d+ timed out after \d+\.\d s in handler spin \(thread \d\); stack:\n`+
			`  File "[^"]*/hang\.py", line \d+, in spin\n    (while True:|pass)\n`)
		fapwstest.FileSays(t, folder+"/access", `"GET /spin HTTP/1.1" 504 `)
		w := s.Dial()
		w.Fetch("/spin").Want(t, 504, "Gateway Timeout")
		w.InTime("/").Is(t, "quick") // the connection is as good as before

		if a := s.Dial().InTime("/begun"); a.Err == nil || a.Text != "first" {
			t.Errorf("a response that hung ended with %v after %q", a.Err, a.Text)
		}
		got := starts(s, "/caught", folder+"/entered")
		fapwstest.FileSays(t, folder+"/caught", "yes")
		(<-got.answer).Want(t, 504)
		for range 20 {
			s.Dial().InTime("/").Is(t, "quick")
		}
	})
}

// A handler that waits in C answers 504 as well, and inline it ends, so that others are served.
func TestTimeoutInC(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, _ := hanging(t, m, "--timeout", "100ms")
		for range 2 {
			w := s.Dial()
			w.Fetch("/locked").Want(t, 504, "Gateway Timeout")
			w.InTime("/").Is(t, "quick") // the connection is as good as before
		}
	})
}

// Inline, the 504 does not wait for a handler that an exception cannot end.
func TestTimeoutOfStubbornHandler(t *testing.T) {
	t.Parallel()
	s, folder := hanging(t, fapwstest.Inline, "--timeout", "100ms")
	w := s.Dial()
	w.Fetch("/stubborn").Want(t, 504, "Gateway Timeout")
	s.Says(`GET /stubborn .* timed out and did not end within 5\.0 s after fapws\.Timeout was raised in handler stubborn`)
	fapwstest.Write(t, folder+"/go", "")
	w.InTime("/").Is(t, "quick")
}

// A generator's piece, and what write() is given, is sent before the next one is made (PEP 3333, "Buffering and Streaming").
func TestPiecesAreNotDelayed(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		for _, target := range []string{"/pieces", "/written"} {
			s, folder := hanging(t, m)
			w := s.Dial()
			for range 20 { // afterwards, inline, pieces are sent beside the loop
				w.Fetch("/quick100").Is(t, strings.Repeat("piece", 100))
			}
			w.Get(target)
			r := w.Head("GET")
			piece := make([]byte, 1)
			for i := range 50 { // the later ones after quick ones
				if _, err := io.ReadFull(r.Body, piece); err != nil || piece[0] != byte('0'+i%10) {
					t.Fatal(target, i, piece, err)
				}
				if i%5 == 0 {
					fapwstest.Write(t, fmt.Sprintf("%s/read%d", folder, i), "") // the handler waits for it
				}
			}
			if rest, err := io.ReadAll(r.Body); err != nil || len(rest) != 0 {
				t.Error(target, rest, err)
			}
			w.Get("/") // the connection is as good as before
			w.Answer().Is(t, "quick")
		}
	})
}

// A client that gave up does not make a handler end that hangs.
func TestTimeoutWithoutClient(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := hanging(t, m, "--timeout", "500ms")
		starts(s, "/caught", folder+"/entered").Reset()
		fapwstest.FileSays(t, folder+"/caught", "yes")
	})
}

// A request that no thread takes is answered with 504 and never run.
func TestTimeoutInTheQueue(t *testing.T) {
	t.Parallel()
	s, folder := hanging(t, fapwstest.Threads, "--timeout", "1s", "--threads", "1")
	s.Dial().Get("/ticking")
	fapwstest.FileSays(t, folder+"/ticking", "yes")
	s.Dial().Fetch("/queued").Want(t, 504)
	s.Says(`GET /queued .* timed out after waiting \d+\.\d s for a thread; discarded\n`)
	fapwstest.FileSays(t, folder+"/access", `"GET /queued HTTP/1.1" 504 `)
	fapwstest.Write(t, folder+"/go", "")
	fapwstest.Eventually(t, "others are served", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
	if _, err := os.Stat(folder + "/queued"); err == nil {
		t.Error("a request was run that had been answered")
	}
}

// Threads that do not come back are replaced, also the only one, and may come back after all.
func TestLostThreads(t *testing.T) {
	for _, threads := range []string{"1", "2"} {
		t.Run(threads, func(t *testing.T) {
			t.Parallel()
			s, folder := hanging(t, fapwstest.Threads, "--timeout", "1s", "--threads", threads)
			var all []*started
			for range threads[0] - '0' {
				all = append(all, starts(s, "/blocked", folder+"/blocked"))
			}
			for _, w := range all {
				(<-w.answer).Want(t, 504)
			}
			fapwstest.Eventually(t, "others are served", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
			s.Says(`GET /blocked .* timed out and did not end within \d+\.\d s after fapws\.Timeout was raised in handler blocked\n`)
			unblock(t, folder)
			// Those that came in their place go.
			var wait sync.WaitGroup
			for range 20 {
				wait.Go(func() { s.Dial().InTime("/alone").Want(t, 200) })
			}
			wait.Wait()
			if got := s.Dial().InTime("/alone").Text; got > threads {
				t.Errorf("%s ran at once, with --threads %s", got, threads)
			}
		})
	}
}

// Handlers that wait, or poll, do not keep other requests from being answered, and the log says which they are.
func TestHungHandlers(t *testing.T) {
	for _, target := range []string{"/locked", "/stubborn", "/waits_in_write"} {
		for _, n := range []int{8, 100} {
			t.Run(fmt.Sprint(target[1:], n), func(t *testing.T) {
				t.Parallel()
				s, _ := hanging(t, fapwstest.Threads)
				for range n {
					s.Dial().Get(target)
				}
				for range 3 {
					s.Dial().InTime("/").Is(t, "quick")
				}
				s.Says(`error all \d+ threads \(--threads\) are busy, and \d+ requests? .* they run .*GET ` + target + ` at hang\.py:\d+ in .*; --timeout ends handlers that hang\n`)
				_, status, _ := s.Ctl("status")
				if !strings.Contains(status, "handlers that have waited for long, in addition to --threads: ") {
					t.Errorf("status: %s", status)
				}
			})
		}
	}
}

// Of handlers that compute, as many run at once as --threads says.
func TestComputingHandlersAreBounded(t *testing.T) {
	t.Parallel()
	s, _ := hanging(t, fapwstest.Threads, "--threads", "2")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { s.Dial().InTime("/computes").Want(t, 200) })
	}
	wait.Wait()
	if got := s.Dial().InTime("/alone").Text; got > "2" {
		t.Errorf("%s ran at once, with --threads 2", got)
	}
}

// With one thread one handler runs at a time, however long it takes, and everything that shows the server says that requests wait.
func TestBusyState(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--workers", "1"}} {
		s, folder := hanging(t, fapwstest.Threads, append(flags, "--threads", "1", "--health", "/healthz", "--status", "/_fapws")...)
		s.Get("/healthz/ready", 200)
		blocked := s.Dial()
		blocked.Get("/blocked")
		fapwstest.FileSays(t, folder+"/blocked", "yes")
		w := s.Dial()
		w.Get("/queued")
		s.Says(`error the only thread \(--threads\) is busy, and 1 request has waited for \d+\.\d s; they run GET /blocked at hang\.py:\d+ in blocked; .*--timeout ends handlers that hang\n`)
		for _, command := range [][]string{{"status"}, {"top", "--once"}} {
			fapwstest.Eventually(t, "ctl "+command[0]+" says so", func() bool {
				_, text, _ := s.Ctl(command...)
				return strings.Contains(text, "  busy ")
			})
		}
		fapwstest.Eventually(t, "metrics say so", func() bool {
			_, text, _ := s.Ctl("metrics")
			return strings.Contains(text, "fapws_queue_first_wait_seconds ") && !strings.Contains(text, "fapws_queue_first_wait_seconds 0\n")
		})
		fapwstest.Eventually(t, "the page says so", func() bool {
			return strings.Contains(s.Ask("GET /_fapws/status.json HTTP/1.1\r\nHost: localhost\r\n\r\n").Text, `"state":"busy"`)
		})
		fapwstest.Eventually(t, "readiness says so", func() bool { return s.Ask(fapwstest.Get("/healthz/ready")).StatusCode == 503 })
		s.Get("/healthz/ready", 503).Want(t, 503, "busy")
		if _, err := os.Stat(folder + "/queued"); err == nil {
			t.Error("two handlers ran at a time, with --threads 1")
		}
		unblock(t, folder)
		w.Answer().Is(t, "queued")
		s.Get("/healthz/ready", 200)
	}
}

// A handler that keeps the GIL cannot be shown by Python, but by others.
func TestTimeoutWithGIL(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := hanging(t, m, "--timeout", "1s")
		s.Until504("/keeps_gil", `GET /keeps_gil .* timed out after \d+\.\d s in handler keeps_gil; a handler holds the GIL in C code, so no exception can be raised; all threads:\n`+
			`(.*\n)*  File "[^"]*hang\.py", line \d+ in keeps_gil\n`)
		unblock(t, folder)
		fapwstest.Eventually(t, "others are served", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
	})
}

// A client that disconnects ends its active request, and its waiting requests do not run.
func TestClientGone(t *testing.T) {
	t.Parallel()
	t.Run("waiting", func(t *testing.T) {
		t.Parallel()
		s, folder := hanging(t, fapwstest.Threads, "--threads", "1")
		first := s.Dial()
		first.Get("/blocked")
		fapwstest.FileSays(t, folder+"/blocked", "yes")
		w := s.Dial()
		w.Get("/queued")
		fapwstest.Eventually(t, "it waits", func() bool {
			_, stdout, _ := s.Ctl("stack")
			return strings.Contains(stdout, "GET /queued HTTP/1.1") && strings.Contains(stdout, "handler queued, queued\n")
		})
		socket := socketOf(s, w.LocalAddr())
		w.Reset()
		fapwstest.Eventually(t, "the server has closed its end", func() bool { return !slices.Contains(s.Descriptors(), socket) })
		unblock(t, folder)
		first.Answer().Is(t, "too late") // no --timeout
		fapwstest.FileSays(t, folder+"/access", `"GET /queued HTTP/1.1" 499 `)
		if _, err := os.Stat(filepath.Join(folder, "queued")); err == nil {
			t.Error("it was run without a client")
		}
	})
	t.Run("handler asks", func(t *testing.T) {
		t.Parallel()
		s, folder := hanging(t, fapwstest.Threads)
		w := s.Dial()
		w.Get("/until_gone")
		fapwstest.FileSays(t, folder+"/entered", "False")
		w.Reset()
		fapwstest.FileSays(t, folder+"/gone", "yes")
		fapwstest.FileSays(t, folder+"/access", `"GET /until_gone HTTP/1.1" 499 `)
	})
}

// Drivers that keep a connection per thread meet the same threads again.
func TestSteadyThreads(t *testing.T) {
	t.Parallel()
	const together = "3"
	s, _ := hanging(t, fapwstest.Threads, "--threads", "8")
	seen := map[string]bool{}
	for _, path := range []string{"/ident", "/lasting"} { // the client of /lasting has its answer before the thread is done
		for range 30 {
			seen[s.Get(path, 200).Text] = true
		}
		if len(seen) != 1 {
			t.Errorf("requests for %s one after the other use %d threads", path, len(seen))
		}
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			id := s.Get("/together?"+together, 200).Text
			mu.Lock()
			seen[id] = true
			mu.Unlock()
		})
	}
	wait.Wait()
	if len(seen) != 3 {
		t.Errorf("3 requests at once use %d threads", len(seen))
	}
	for range 30 {
		seen[s.Get("/ident", 200).Text] = true
	}
	if len(seen) != 3 {
		t.Errorf("then there are %d threads", len(seen))
	}
	// They retire after 10 s without work.
	fapwstest.Eventually(t, "they end", func() bool { return pythonThreads(s) == 0 })
}

// pythonThreads returns how many threads for handlers were started. Those of Go
// come when it likes and never go.
func pythonThreads(s *fapwstest.Server) (n int) {
	s.T.Helper()
	tasks, err := os.ReadDir(s.Proc("task"))
	if err != nil {
		s.T.Fatal(err)
	}
	for _, task := range tasks {
		name, _ := os.ReadFile(s.Proc("task/" + task.Name() + "/comm"))
		if strings.HasPrefix(string(name), "fapws-py-") {
			n++
		}
	}
	return n
}

// socketOf returns the server's socket of a client on IPv4 as descriptors has it. The kernel forgets a
// connection before the server has noticed that its client has disconnected.
func socketOf(s *fapwstest.Server, client net.Addr) string {
	s.T.Helper()
	text := fapwstest.Read(s.T, "/proc/net/tcp")
	server, err := net.ResolveTCPAddr("tcp", s.Address)
	if err != nil {
		s.T.Fatal(err)
	}
	// The port of the client alone may be that of another client, of another server, too.
	local, remote := fmt.Sprintf("0100007F:%04X", server.Port), fmt.Sprintf("0100007F:%04X", client.(*net.TCPAddr).Port)
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 9 && f[1] == local && f[2] == remote {
			return "socket:[" + f[9] + "]"
		}
	}
	s.T.Fatalf("no socket of %v", client)
	return ""
}
