package acceptance

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// hanging starts hang.py with a folder of its own.
func hanging(t *testing.T, m mode, flags ...string) (s *server, folder string) {
	t.Helper()
	folder = t.TempDir()
	if err := syscall.Mkfifo(folder+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	flags = append([]string{"--access-log", folder + "/access"}, flags...)
	return command{script: "hang.py", args: []string{folder}, flags: flags}.serve(t, m), folder
}

// unblock lets the handlers that are blocked go on: one reads a byte, others the end.
func unblock(t *testing.T, folder string) {
	t.Helper()
	f, err := os.OpenFile(folder+"/fifo", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// EPIPE: what was raised in the handler has ended it since it could be opened.
	if _, err := f.Write([]byte{0}); err != nil && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
}

// started is a request whose handler runs; answer has status 0 if the connection breaks.
type started struct {
	*wire
	answer chan *answer
}

// starts asks for target until its handler has written another line to file: with a --timeout of a few seconds, a
// request may be late on a busy machine before its handler runs.
func (s *server) starts(target, file string) *started {
	s.t.Helper()
	lines := func() int {
		text, _ := os.ReadFile(file)
		return strings.Count(string(text), "\n")
	}
	before := lines()
	var r *started
	eventually(s.t, target+" runs", func() bool {
		if r == nil {
			asked := &started{s.dial(), make(chan *answer, 1)}
			go func() {
				a, err := asked.tries(get(target))
				if err != nil {
					a = &answer{Response: new(http.Response), err: err}
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

// logged waits until the access log has a line with this text.
func logged(t *testing.T, folder, text string) {
	t.Helper()
	eventually(t, text+" in the access log", func() bool {
		log, _ := os.ReadFile(folder + "/access")
		return strings.Contains(string(log), text)
	})
}

// A handler that takes too long is shown, its client answered, and it ends.
func TestTimeout(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, folder := hanging(t, m, "--timeout", "3s")
		s.until504("/spin", `fapws: GET /spin HTTP/1\.1 from 127\.0\.0\.1 port \d+ is overdue after \d+\.\d s in handler spin, on thread \d, which is here:\n`+
			`  File "[^"]*/hang\.py", line \d+, in spin\n    (while True:|pass)\n`)
		logged(t, folder, `"GET /spin HTTP/1.1" 504 `)
		w := s.dial()
		w.get("/spin")
		w.answer().want(t, 504, "Gateway Timeout")
		w.inTime("/").is(t, "quick") // the connection is as good as before

		if a := s.dial().inTime("/begun"); a.err == nil || a.body != "first" {
			t.Errorf("a response that hung ended with %v after %q", a.err, a.body)
		}
		got := s.starts("/caught", folder+"/entered")
		fileSays(t, folder+"/caught", "yes")
		(<-got.answer).want(t, 504)
		for range 20 {
			s.dial().inTime("/").is(t, "quick")
		}
	})
}

// A handler that waits in C answers 504 as well, and inline it ends, so that others are served.
func TestTimeoutInC(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, _ := hanging(t, m, "--timeout", "100ms")
		for range 2 {
			w := s.dial()
			w.get("/locked")
			w.answer().want(t, 504, "Gateway Timeout")
			w.inTime("/").is(t, "quick") // the connection is as good as before
		}
	})
}

// Inline, the 504 does not wait for a handler that an exception cannot end.
func TestTimeoutOfStubbornHandler(t *testing.T) {
	t.Parallel()
	s, folder := hanging(t, modes[1], "--timeout", "100ms")
	w := s.dial()
	w.get("/stubborn")
	w.answer().want(t, 504, "Gateway Timeout")
	s.says(`GET /stubborn .* is overdue and does not end, 5\.0 s after an exception was raised in handler stubborn`)
	write(t, folder+"/go", "")
	w.inTime("/").is(t, "quick")
}

// A generator's piece, and what write() is given, is sent before the next one is made (PEP 3333, "Buffering and Streaming").
func TestPiecesAreNotDelayed(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		for _, target := range []string{"/pieces", "/written"} {
			s, folder := hanging(t, m)
			w := s.dial()
			for range 20 { // afterwards, inline, pieces are sent beside the loop
				w.get("/quick100")
				w.answer().is(t, strings.Repeat("piece", 100))
			}
			w.get(target)
			r := w.head("GET")
			piece := make([]byte, 1)
			for i := range 50 { // the later ones after quick ones
				if _, err := io.ReadFull(r.Body, piece); err != nil || piece[0] != byte('0'+i%10) {
					t.Fatal(target, i, piece, err)
				}
				if i%5 == 0 {
					write(t, fmt.Sprintf("%s/read%d", folder, i), "") // the handler waits for it
				}
			}
			if rest, err := io.ReadAll(r.Body); err != nil || len(rest) != 0 {
				t.Error(target, rest, err)
			}
			w.get("/") // the connection is as good as before
			w.answer().is(t, "quick")
		}
	})
}

// A client that gave up does not make a handler end that hangs.
func TestTimeoutWithoutClient(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, folder := hanging(t, m, "--timeout", "3s")
		s.starts("/caught", folder+"/entered").reset()
		fileSays(t, folder+"/caught", "yes")
	})
}

// Threads that do not come back are replaced, also the only one, and may come
// back after all. A request that no thread takes is answered and never run.
func TestLostThreads(t *testing.T) {
	for _, threads := range []string{"1", "2"} {
		t.Run(threads, func(t *testing.T) {
			t.Parallel()
			s, folder := hanging(t, modes[0], "--timeout", "3s", "--threads", threads)
			var all []*started
			eventually(t, "a request waits for a thread in vain", func() bool { // unless they are replaced before
				os.Remove(folder + "/queued")
				for range threads[0] - '0' {
					all = append(all, s.starts("/blocked", folder+"/blocked"))
				}
				w := s.dial()
				w.get("/queued")
				return w.answer().StatusCode == 504
			})
			s.says(`GET /queued .* is overdue: it has waited \d+\.\d s for a thread and will not be run\n`)
			logged(t, folder, `"GET /queued HTTP/1.1" 504 `)
			for _, w := range all {
				(<-w.answer).want(t, 504)
			}
			s.says(`GET /blocked .* is overdue and does not end, \d+\.\d s after an exception was raised in handler blocked\n`)
			eventually(t, "others are served", func() bool { return s.ask(get("/")).StatusCode == 200 })
			if _, err := os.Stat(folder + "/queued"); err == nil {
				t.Error("a request was run that had been answered")
			}
			unblock(t, folder)
			// Those that came in their place go.
			var wait sync.WaitGroup
			for range 20 {
				wait.Go(func() { s.dial().inTime("/alone").want(t, 200) })
			}
			wait.Wait()
			if got := s.dial().inTime("/alone").body; got > threads {
				t.Errorf("%s ran at once, with --threads %s", got, threads)
			}
		})
	}
}

// A handler that keeps the GIL cannot be shown by Python, but by others.
func TestTimeoutWithGIL(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, folder := hanging(t, m, "--timeout", "3s")
		s.until504("/keeps_gil", `GET /keeps_gil .* is overdue after \d+\.\d s in handler keeps_gil, and a handler holds the GIL in C code, so no exception can be raised; all threads:\n`+
			`(.*\n)*  File "[^"]*hang\.py", line \d+ in keeps_gil\n`)
		unblock(t, folder)
		eventually(t, "others are served", func() bool { return s.ask(get("/")).StatusCode == 200 })
	})
}

// A client that leaves ends what was begun for it, and what was not is not run.
func TestClientGone(t *testing.T) {
	t.Run("waiting", func(t *testing.T) {
		t.Parallel()
		s, folder := hanging(t, modes[0], "--threads", "1")
		first := s.dial()
		first.get("/blocked")
		fileSays(t, folder+"/blocked", "yes")
		w := s.dial()
		w.get("/queued")
		eventually(t, "it waits", func() bool {
			_, stdout, _ := s.ctl("stack")
			return strings.Contains(stdout, "GET /queued HTTP/1.1") && strings.Contains(stdout, "handler queued, queued\n")
		})
		socket := s.socketOf(w.LocalAddr())
		w.reset()
		eventually(t, "the server has closed its end", func() bool { return !slices.Contains(slices.Collect(maps.Values(s.descriptors())), socket) })
		unblock(t, folder)
		first.answer().is(t, "too late") // no --timeout
		logged(t, folder, `"GET /queued HTTP/1.1" 499 `)
		if _, err := os.Stat(filepath.Join(folder, "queued")); err == nil {
			t.Error("it was run for nobody")
		}
	})
	t.Run("handler asks", func(t *testing.T) {
		t.Parallel()
		s, folder := hanging(t, modes[0])
		w := s.dial()
		w.get("/until_gone")
		fileSays(t, folder+"/entered", "False")
		w.reset()
		fileSays(t, folder+"/gone", "yes")
		logged(t, folder, `"GET /until_gone HTTP/1.1" 499 `)
	})
	t.Run("stream", func(t *testing.T) {
		inModes(t, func(t *testing.T, m mode) {
			s, folder := hanging(t, m)
			w := s.dial()
			w.get("/stream")
			r := w.head("GET")
			if _, err := io.ReadFull(r.Body, make([]byte, 5000)); err != nil {
				t.Fatal(err)
			}
			w.reset()
			fileSays(t, folder+"/closed", "True")
		})
	})
}

// Drivers that keep a connection per thread meet the same threads again.
func TestSteadyThreads(t *testing.T) {
	t.Parallel()
	const together = "3"
	s, _ := hanging(t, modes[0], "--threads", "8")
	seen := map[string]bool{}
	for _, path := range []string{"/ident", "/lasting"} { // the client of /lasting has its answer before the thread is done
		for range 30 {
			seen[s.get(path, 200).body] = true
		}
		if len(seen) != 1 {
			t.Errorf("requests for %s one after the other use %d threads", path, len(seen))
		}
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			id := s.get("/together?"+together, 200).body
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
		seen[s.get("/ident", 200).body] = true
	}
	if len(seen) != 3 {
		t.Errorf("then there are %d threads", len(seen))
	}
	// They retire after 10 s without work.
	eventually(t, "they end", func() bool { return s.pythonThreads() == 0 })
}

func TestSerialMode(t *testing.T) {
	t.Parallel()
	s, _ := hanging(t, modes[0], "--threads", "1")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { s.get("/alone", 200).is(t, "1") })
	}
	wait.Wait()
}
