package http_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestHandlersRunAtTheSameTime: eight handlers run at the same time, in threads of one process, and no
// process is made for a request.
func TestHandlersRunAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "crowd.py", "--threads", "8")
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatalf("%v (./build.sh test installs it)", err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	tracer := exec.Command(strace, "-f", "-qq", "-e", "trace=process", "-o", trace, "-p", strconv.Itoa(s.Cmd.Process.Pid))
	tracer.Stderr = os.Stderr
	if err := tracer.Start(); err != nil {
		t.Fatal(err)
	}
	fapwstest.Eventually(t, "strace has the server", func() bool { return s.Status("TracerPid") == tracer.Process.Pid })

	pid := strconv.Itoa(s.Cmd.Process.Pid)
	for _, path := range []string{"/together", "/wait"} { // the first proves it: they wait for each other
		began := time.Now()
		var all sync.WaitGroup
		for range 8 {
			w := s.Dial()
			all.Go(func() {
				w.Send(fapwstest.Get(path, "Connection: close"))
				w.Answer().Is(t, pid)
			})
		}
		all.Wait()
		if took := time.Since(began); path == "/wait" && took < time.Second {
			t.Errorf("8 requests of a second took %v", took)
		}
	}
	if len(s.Family()) != 1 {
		t.Errorf("processes %v", s.Family())
	}
	if err := tracer.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = tracer.Wait()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	made := regexp.MustCompile(`(?m)^.*\b(?:fork|vfork|clone3?|execve(?:at)?)\(.*$`).FindAllString(string(text), -1)
	threads := 0
	for _, line := range made {
		if !strings.Contains(line, "CLONE_THREAD") {
			t.Errorf("a process is made: %s", line)
		}
		threads++
	}
	if threads < 7 {
		t.Errorf("strace saw %d threads begin, so it has not seen all", threads)
	}
}

// TestLoadClientsWait: beyond max-clients, connections wait, are served in the order in which
// they came, and none is refused.
func TestLoadClientsWait(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		for _, most := range []int{4, 1} {
			s := fapwstest.Serve(t, m, "crowd.py", "--max-clients", strconv.Itoa(most))
			const clients = 20
			var crowd []*fapwstest.Client
			var want []string
			for i := range clients {
				w := s.Dial() // connected, in this order
				w.Send(fapwstest.Get(fmt.Sprint("/enter?", i), "Connection: close"))
				crowd, want = append(crowd, w), append(want, strconv.Itoa(i))
			}
			for _, w := range crowd {
				w.Answer().Is(t, "entered")
			}
			at, order, _ := strings.Cut(s.Get("/seen", 200).Text, " ")
			if n, _ := strconv.Atoi(at); n < 1 || n > most || (m.Inline() && n != 1) {
				t.Errorf("%s handlers ran at the same time, with --max-clients %d", at, most)
			}
			// Clients inside at the same time may overtake each other.
			came := strings.Split(order, ",")
			if len(came) != clients || (most == 1 && !slices.Equal(came, want)) {
				t.Errorf("with --max-clients %d they were served in the order %s", most, order)
			}
		}
	})
}

// TestLoadClientsAreRefused: with --max-clients-action 503 those beyond get that at once, and
// clients that come when there is room are served.
func TestLoadClientsAreRefused(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "crowd.py", "--max-clients", "3", "--max-clients-action", "503")
		var inside []*fapwstest.Client
		for range 3 {
			w := s.Dial()
			w.Get("/hello")
			w.Answer().Is(t, "hello\n")
			inside = append(inside, w)
		}
		for range 20 {
			w := s.Dial()
			w.Get("/hello")
			a := w.Answer()
			if a.Want(t, 503); a.Header.Get("Retry-After") != "1" || !a.Close {
				t.Errorf("header %v", a.Header)
			}
			w.Closed()
		}
		for _, w := range inside {
			w.Get("/hello")
			w.Answer().Is(t, "hello\n")
			w.Close()
		}
		fapwstest.Eventually(t, "there is room again", func() bool {
			w := s.Dial()
			defer w.Close()
			w.Get("/hello")
			return w.Answer().StatusCode == 200
		})
	})
}

// TestBodiesReachHandlers: GET and POST reach a handler, with bodies whole, whatever their size
// and framing.
func TestBodiesReachHandlers(t *testing.T) {
	fapwstest.InModes(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "crowd.py")
		is := func(a *fapwstest.Answer, method, body string) {
			t.Helper()
			a.Is(t, fmt.Sprintf("%s %d %x", method, len(body), sha256.Sum256([]byte(body))))
		}
		w := s.Dial()
		w.Get("/body")
		is(w.Answer(), "GET", "")
		for _, size := range []int{1, 100, 65_536, 300_000, 3_000_000} {
			body := strings.Repeat("0123456789", size/10+1)[:size]
			w.Send(fapwstest.Request("POST", "/body", body))
			is(w.Answer(), "POST", body)
			w.Send(fapwstest.Chunked("POST", "/body", body, 1+size/7))
			is(w.Answer(), "POST", body)
		}
	})
}

// TestConnectionsStay: connections of HTTP/1.1 stay, also with several requests sent ahead,
// those of 1.0 if they ask, and none longer than --keep-alive.
func TestConnectionsStay(t *testing.T) {
	fapwstest.InModes(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "crowd.py", "--keep-alive", "4")
		w := s.Dial()
		for range 3 {
			w.Get("/hello")
			w.Answer().Is(t, "hello\n")
		}
		w.Send(strings.Repeat(fapwstest.Get("/hello"), 10))
		for range 10 {
			w.Answer().Is(t, "hello\n")
		}
		w.Closed() // by itself, after that time

		w = s.Dial()
		for range 2 {
			w.Send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
			a := w.Answer().Is(t, "hello\n")
			if !strings.EqualFold(a.Header.Get("Connection"), "keep-alive") {
				t.Errorf("header %v", a.Header)
			}
		}
		w.Send("GET /hello HTTP/1.0\r\n\r\n")
		w.Answer().Is(t, "hello\n")
		w.Closed()
	})
}
