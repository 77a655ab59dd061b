package python_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func hanging(t *testing.T, m fapwstest.Mode, flags ...string) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	fapwstest.Must(t, syscall.Mkfifo(folder+"/fifo", 0o600))
	flags = append([]string{"--access-log", folder + "/access"}, flags...)
	return fapwstest.Command{Script: "hang.py", Args: []string{folder}, Flags: flags}.Serve(t, m), folder
}

// unblock ends the wait of all handlers that read from the FIFO. One handler reads a byte, and the others read the end
// of the file.
func unblock(t *testing.T, folder string) {
	t.Helper()
	f := fapwstest.Try(os.OpenFile(folder+"/fifo", os.O_WRONLY, 0)).Must(t)
	defer f.Close()
	// EPIPE means that the handler has opened the FIFO, and has then closed it because of an exception.
	_, err := f.Write([]byte{0})
	fapwstest.Needf(t, err == nil || errors.Is(err, syscall.EPIPE), "%v", err)
}

// A started is a request whose handler is running. Its status is 0 if the connection breaks.
type started struct {
	*fapwstest.Client
	answer chan *fapwstest.Answer
}

// The method starts sends requests for target until a handler has written one more line to file. If --timeout is a few
// seconds, a request may time out on a busy machine before its handler runs.
func starts(s *fapwstest.Server, target, file string) *started {
	s.T.Helper()
	lines := func() int { return strings.Count(fapwstest.TextOf(s.T, file), "\n") }
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

// A handler in C code ends, too, and a handler whose client has disconnected. In inline mode, the server can then
// answer other requests.
func TestTimeoutEndsTheHandlerAndLogsItsStack(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := hanging(t, m, "--timeout", "500ms")
		s.Until504("/spin",
			`(?m)^[-\d]+ [:\d]+\.\d{3} [-+]\d{4} error request \w+: GET /spin HTTP/1\.1 from 127\.0\.0\.1 port \d+ timed out `+
				`after \d+\.\d s in handler spin \(thread \d\); stack:\n`+
				`  File "[^"]*/hang\.py", line \d+, in spin\n    (while True:|pass)\n`)
		fapwstest.FileSays(t, folder+"/access", `"GET /spin HTTP/1.1" 504 `)
		w := s.Dial()
		w.Fetch("/spin").Want(t, 504, "Gateway Timeout")
		w.InTime("/").Is(t, "quick")

		a := s.Dial().InTime("/begun")
		fapwstest.Truef(t, a.Err != nil && a.Text == "first", "a response that hung ended with %v after %q", a.Err, a.Text)
		got := starts(s, "/caught", folder+"/entered")
		fapwstest.FileSays(t, folder+"/caught", "yes")
		(<-got.answer).Want(t, 504)
		starts(s, "/caught", folder+"/entered").Reset()
		fapwstest.FileSays(t, folder+"/caught", "yes\nyes\n")
		for range 20 {
			s.Dial().InTime("/").Is(t, "quick")
		}
		for range 2 {
			w := s.Dial()
			w.Fetch("/locked").Want(t, 504, "Gateway Timeout")
			w.InTime("/").Is(t, "quick")
		}
	})
}

// The handler of this test catches every exception and continues.
func TestTimeoutDoesNotWaitForAStubbornInlineHandler(t *testing.T) {
	t.Parallel()
	s, folder := hanging(t, fapwstest.Inline, "--timeout", "100ms")
	w := s.Dial()
	w.Fetch("/stubborn").Want(t, 504, "Gateway Timeout")
	s.Says(`GET /stubborn .* timed out and did not end within 5\.0 s after fapws\.Timeout was raised in handler stubborn`)
	fapwstest.Write(t, folder+"/go", "")
	w.InTime("/").Is(t, "quick")
}

// A generator or calls of write() make the pieces (PEP 3333, "Buffering and Streaming").
func TestPiecesAreSentBeforeTheNextPieceIsMade(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := hanging(t, m)
		w := s.Dial()
		// In inline mode, these requests make the server send later pieces on a second thread, not on the event loop's.
		for range 20 {
			w.Fetch("/quick100").Is(t, strings.Repeat("piece", 100))
		}
		for _, target := range []string{"/pieces", "/written"} {
			w.Get(target)
			r := w.Head("GET")
			piece := make([]byte, 1)
			for i := range 50 {
				_, err := io.ReadFull(r.Body, piece)
				fapwstest.Needf(t, err == nil && piece[0] == byte('0'+i%10), "%q %v %v %v", target, i, piece, err)
				if i%5 == 0 {
					fapwstest.Write(t, fmt.Sprintf("%s%s%d", folder, target, i), "")
				}
			}
			rest, err := io.ReadAll(r.Body)
			fapwstest.Truef(t, err == nil && len(rest) == 0, "%q %v %v", target, rest, err)
			w.Fetch("/").Is(t, "quick")
		}
	})
}

func TestTimeoutInTheQueueDiscardsTheRequest(t *testing.T) {
	t.Parallel()
	s, folder := hanging(t, fapwstest.Threads, "--timeout", "1s", "--threads", "1")
	s.Dial().Get("/ticking")
	fapwstest.FileSays(t, folder+"/ticking", "yes")
	s.Dial().Fetch("/queued").Want(t, 504)
	s.Says(`GET /queued .* timed out after waiting \d+\.\d s for a thread; discarded\n`)
	fapwstest.FileSays(t, folder+"/access", `"GET /queued HTTP/1.1" 504 `)
	fapwstest.Write(t, folder+"/go", "")
	fapwstest.Eventually(t, "others are served", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
	fapwstest.Truef(t, !fapwstest.Exists(folder+"/queued"), "a request was run that had been answered")
}

// A thread whose handler hangs counts as lost and is replaced, even if it was the only thread.
func TestLostThreadsAreReplaced(t *testing.T) {
	for _, threads := range []string{"1", "2"} {
		t.Run(threads, func(t *testing.T) {
			t.Parallel()
			s, folder := hanging(t, fapwstest.Threads, "--timeout", "1s", "--threads", threads)
			all := fapwstest.Repeat(int(threads[0]-'0'), func(int) *started { return starts(s, "/blocked", folder+"/blocked") })
			for _, w := range all {
				(<-w.answer).Want(t, 504)
			}
			fapwstest.Eventually(t, "others are served", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
			s.Says(`GET /blocked .* timed out and did not end within \d+\.\d s after fapws\.Timeout was raised in ` +
				`handler blocked\n`)
			unblock(t, folder)
			fapwstest.AtOnce(20, func(int) { s.Dial().InTime("/alone").Want(t, 200) })
			got := s.Dial().InTime("/alone").Text
			fapwstest.Truef(t, got <= threads, "%s ran at once, with --threads %s", got, threads)
		})
	}
}

func TestHungHandlersDoNotBlockOtherRequests(t *testing.T) {
	for _, tt := range []struct{ script, target, timeout string }{
		{"hang.py", "/locked", "30s"},
		{"hang.py", "/stubborn", "1h"},
		{"hang.py", "/waits_in_write", "30s"},
		{"hang.py:wsgi", "/locked", "1h"},
	} {
		t.Run(tt.script+tt.target, func(t *testing.T) {
			t.Parallel()
			s := fapwstest.Command{Script: tt.script, Args: []string{t.TempDir()},
				Flags: []string{"--timeout", tt.timeout}}.Serve(t, fapwstest.Threads)
			s.Dial().InTime("/").Is(t, "quick")
			before := s.RSS()
			for range 100 {
				s.Dial().Get(tt.target)
			}
			for range 3 {
				s.Dial().InTime("/").Is(t, "quick")
			}
			_, status, _ := s.Ctl("status")
			// A line is logged only if a request has waited for seconds.
			early := regexp.MustCompile(`are busy, and .* for [0-2]\.\d s; `)
			fapwstest.Truef(t, !early.MatchString(s.Stderr.String()), "a line about requests that were answered")
			fapwstest.Truef(t, strings.Contains(status, "handlers that have waited for long, in addition to --threads: "),
				"status: %s", status)
			grown := s.RSS() - before
			fapwstest.Truef(t, grown <= 100<<20, "%d MiB", grown>>20)
		})
	}
}

func TestHungRequestsAndEventsOfFlaskSocketIODoNotBlockOtherRequests(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "hangsocketio.py:app", Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t)}}.
		Serve(t, fapwstest.Threads)
	for range 30 {
		s.Dial().Get("/locked")
		c := s.Socket("/socket.io/?EIO=4&transport=websocket")
		for _, event := range []string{"40", `42["locked"]`} {
			fapwstest.Received(t, c)
			fapwstest.Must(t, c.SendText(event))
		}
	}
	for range 3 {
		s.Dial().InTime("/").Is(t, "quick")
	}
}

func TestComputingHandlersAreLimitedToThreads(t *testing.T) {
	t.Parallel()
	s, _ := hanging(t, fapwstest.Threads, "--threads", "2")
	fapwstest.AtOnce(8, func(int) { s.Dial().InTime("/computes").Want(t, 200) })
	got := s.Dial().InTime("/alone").Text
	// On a busy machine, a computing handler can get no CPU time for so long that it counts as waiting.
	fapwstest.Truef(t, got <= "4", "%s of 8 ran at once, with --threads 2", got)
}

func TestBusyServerWithOneThreadReportsWaitingRequests(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--workers", "1"}} {
		s, folder := hanging(t, fapwstest.Threads, append(flags, "--threads", "1", "--health", "/healthz", "--status",
			"/_fapws")...)
		s.Get("/healthz/ready", 200)
		s.DialGet("/blocked")
		fapwstest.FileSays(t, folder+"/blocked", "yes")
		w := s.DialGet("/queued")
		s.Says(`warning the only thread \(--threads\) is busy, and 1 request has waited for [3-9]\.\d s; they run GET ` +
			`/blocked at hang\.py:\d+ in blocked; they wait for something: .*; --timeout ends handlers that hang\n`)
		for _, command := range [][]string{{"status"}, {"top", "--once"}} {
			fapwstest.Eventually(t, "ctl "+command[0]+" says so", func() bool {
				_, text, _ := s.Ctl(command...)
				return strings.Contains(text, "  busy ")
			})
		}
		fapwstest.Eventually(t, "metrics say so", func() bool {
			_, text, _ := s.Ctl("metrics")
			return strings.Contains(text, "fapws_queue_first_wait_seconds ") && !strings.Contains(text,
				"fapws_queue_first_wait_seconds 0\n")
		})
		fapwstest.Eventually(t, "the page says so", func() bool {
			return strings.Contains(s.Ask("GET /_fapws/status.json HTTP/1.1\r\nHost: localhost\r\n\r\n").Text, `"state":"busy"`)
		})
		fapwstest.Eventually(t, "readiness says so", func() bool {
			return s.Ask(fapwstest.Get("/healthz/ready")).StatusCode == 503
		})
		s.Get("/healthz/ready", 503).Want(t, 503, "busy")
		fapwstest.Truef(t, !fapwstest.Exists(folder+"/queued"), "two handlers ran at a time, with --threads 1")
		unblock(t, folder)
		w.Answer().Is(t, "queued")
		s.Get("/healthz/ready", 200)
	}
}

func TestBusyServerWhoseHandlersComputeNeedsProcessors(t *testing.T) {
	t.Parallel()
	s, _ := hanging(t, fapwstest.Threads, "--threads", "2", "--graceful-timeout", "100ms")
	for range 2 {
		s.DialGet("/spin")
	}
	s.DialGet("/queued")
	s.Says(`warning all 2 threads \(--threads\) are busy, and .* they run GET /spin at hang\.py:\d+ in spin ` +
		`\(2 times\); they compute: --workers `)
}

// The handler holds the GIL, so the server can run no Python code. faulthandler writes the stacks of all threads.
func TestTimeoutOfAHandlerThatKeepsTheGILIsLogged(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := hanging(t, m, "--timeout", "1s")
		s.Until504("/keeps_gil",
			`GET /keeps_gil .* timed out after \d+\.\d s in handler keeps_gil; a handler holds the GIL in C code, `+
				`so no exception can be raised; all threads:\n`+
				`thread 0x[0-9a-f]+:\n(  .*\n)*  File "[^"]*hang\.py", line \d+, in keeps_gil\n`)
		fapwstest.Lacks(t, s.Stderr.String(), "no Python frame")
		unblock(t, folder)
		fapwstest.Eventually(t, "others are served", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
	})
}

func TestRequestThatWaitsForAThreadEndsWithItsClient(t *testing.T) {
	t.Parallel()
	s, folder := hanging(t, fapwstest.Threads, "--threads", "1")
	first := s.DialGet("/blocked")
	fapwstest.FileSays(t, folder+"/blocked", "yes")
	w := s.DialGet("/queued")
	fapwstest.Eventually(t, "it waits", func() bool {
		_, stdout, _ := s.Ctl("stack")
		return strings.Contains(stdout, "GET /queued HTTP/1.1") && strings.Contains(stdout, "handler queued, queued\n")
	})
	socket := socketOf(s, w.LocalAddr())
	w.Reset()
	fapwstest.Eventually(t, "the server has closed its end", func() bool {
		return !slices.Contains(s.Descriptors(), socket)
	})
	unblock(t, folder)
	first.Answer().Is(t, "too late")
	fapwstest.FileSays(t, folder+"/access", `"GET /queued HTTP/1.1" 499 `)
	fapwstest.Truef(t, !fapwstest.Exists(folder+"/queued"), "it was run without a client")
}

// If requests arrive one after the other, one thread runs all handlers. Some database drivers open a connection for
// each thread, so the server should not use more threads than necessary.
func TestSteadyThreadsRunHandlers(t *testing.T) {
	t.Parallel()
	const together = "3"
	s, _ := hanging(t, fapwstest.Threads, "--threads", "8")
	seen := map[string]bool{}
	// The thread that handles /lasting continues for a while after the client has got the response.
	for _, path := range []string{"/ident", "/lasting"} {
		for range 30 {
			seen[s.Get(path, 200).Text] = true
		}
		fapwstest.Equalf(t, len(seen), 1, "threads for requests of %s one after the other", path)
	}
	var mu sync.Mutex
	fapwstest.AtOnce(3, func(int) {
		id := s.Get("/together?"+together, 200).Text
		mu.Lock()
		seen[id] = true
		mu.Unlock()
	})
	fapwstest.Equalf(t, len(seen), 3, "threads for 3 requests at once")
	for range 30 {
		seen[s.Get("/ident", 200).Text] = true
	}
	fapwstest.Equalf(t, len(seen), 3, "threads after that")
	fapwstest.Eventually(t, "they end", func() bool { return pythonThreads(s) == 0 })
}

// pythonThreads counts the threads that run handlers, without the threads of Go, which start at any time and never end.
func pythonThreads(s *fapwstest.Server) (n int) {
	s.T.Helper()
	for _, task := range fapwstest.Try(os.ReadDir(s.Proc("task"))).Must(s.T) {
		name, _ := os.ReadFile(s.Proc("task/" + task.Name() + "/comm"))
		if strings.HasPrefix(string(name), "fapws-py-") {
			n++
		}
	}
	return n
}

// socketOf returns the server's socket of the connection to an IPv4 client, in the form of a link in /proc/PID/fd. The
// kernel may remove a connection from its list before the server has noticed that the client has disconnected.
func socketOf(s *fapwstest.Server, client net.Addr) string {
	s.T.Helper()
	text := fapwstest.Read(s.T, "/proc/net/tcp")
	server := fapwstest.Try(net.ResolveTCPAddr("tcp", s.Address)).Must(s.T)
	// A client of a different server may have the same port.
	local, remote := fmt.Sprintf("0100007F:%04X", server.Port), fmt.Sprintf("0100007F:%04X", client.(*net.TCPAddr).Port)
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 9 && f[1] == local && f[2] == remote {
			return "socket:[" + f[9] + "]"
		}
	}
	s.T.Fatalf("no socket of %v", client)
	return ""
}
