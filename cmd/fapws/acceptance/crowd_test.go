package acceptance

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
)

// TestHandlersRunAtTheSameTime: eight handlers run at the same time, in threads of one process, and no
// process is made for a request.
func TestHandlersRunAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := serve(t, modes[0], "crowd.py", "--threads", "8")
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatalf("%v (./build.sh test installs it)", err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	tracer := exec.Command(strace, "-f", "-qq", "-e", "trace=process", "-o", trace, "-p", strconv.Itoa(s.cmd.Process.Pid))
	tracer.Stderr = os.Stderr
	if err := tracer.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "strace has the server", func() bool { return s.status("TracerPid") == tracer.Process.Pid })

	pid := strconv.Itoa(s.cmd.Process.Pid)
	for _, path := range []string{"/together", "/wait"} { // the first proves it: they wait for each other
		began := time.Now()
		var all sync.WaitGroup
		for range 8 {
			w := s.dial()
			all.Go(func() {
				w.send(get(path, "Connection: close"))
				w.answer().is(t, pid)
			})
		}
		all.Wait()
		if took := time.Since(began); path == "/wait" && took < time.Second {
			t.Errorf("8 requests of a second took %v", took)
		}
	}
	if len(s.family()) != 1 {
		t.Errorf("processes %v", s.family())
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
	inOneProcess(t, func(t *testing.T, m mode) {
		for _, most := range []int{4, 1} {
			s := serve(t, m, "crowd.py", "--max-clients", strconv.Itoa(most))
			const clients = 20
			var crowd []*wire
			var want []string
			for i := range clients {
				w := s.dial() // connected, in this order
				w.send(get(fmt.Sprint("/enter?", i), "Connection: close"))
				crowd, want = append(crowd, w), append(want, strconv.Itoa(i))
			}
			for _, w := range crowd {
				w.answer().is(t, "entered")
			}
			at, order, _ := strings.Cut(s.get("/seen", 200).body, " ")
			if n, _ := strconv.Atoi(at); n < 1 || n > most || (m.inline() && n != 1) {
				t.Errorf("%s handlers ran at the same time, with --max-clients %d", at, most)
			}
			// Those who are in at the same time may overtake each other.
			came := strings.Split(order, ",")
			if len(came) != clients || (most == 1 && !slices.Equal(came, want)) {
				t.Errorf("with --max-clients %d they were served in the order %s", most, order)
			}
		}
	})
}

// TestLoadClientsAreRefused: with --max-clients-action 503 those beyond get that at once, and
// who comes when there is room is served.
func TestLoadClientsAreRefused(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "crowd.py", "--max-clients", "3", "--max-clients-action", "503")
		var inside []*wire
		for range 3 {
			w := s.dial()
			w.get("/hello")
			w.answer().is(t, "hello\n")
			inside = append(inside, w)
		}
		for range 20 {
			w := s.dial()
			w.get("/hello")
			a := w.answer()
			if a.want(t, 503); a.Header.Get("Retry-After") != "1" || !a.Close {
				t.Errorf("header %v", a.Header)
			}
			w.closed()
		}
		for _, w := range inside {
			w.get("/hello")
			w.answer().is(t, "hello\n")
			w.Close()
		}
		eventually(t, "there is room again", func() bool {
			w := s.dial()
			defer w.Close()
			w.get("/hello")
			return w.answer().StatusCode == 200
		})
	})
}

// TestBodiesReachHandlers: GET and POST reach a handler, with bodies whole, whatever their size
// and framing.
func TestBodiesReachHandlers(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "crowd.py")
		is := func(a *answer, method, body string) {
			t.Helper()
			a.is(t, fmt.Sprintf("%s %d %x", method, len(body), sha256.Sum256([]byte(body))))
		}
		w := s.dial()
		w.get("/body")
		is(w.answer(), "GET", "")
		for _, size := range []int{1, 100, 65_536, 300_000, 3_000_000} {
			body := strings.Repeat("0123456789", size/10+1)[:size]
			w.send(request("POST", "/body", body))
			is(w.answer(), "POST", body)
			w.send(chunked("POST", "/body", body, 1+size/7))
			is(w.answer(), "POST", body)
		}
	})
}

// TestConnectionsStay: connections of HTTP/1.1 stay, also with several requests sent ahead,
// those of 1.0 if they ask, and none longer than --keep-alive.
func TestConnectionsStay(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "crowd.py", "--keep-alive", "4")
		w := s.dial()
		for range 3 {
			w.get("/hello")
			w.answer().is(t, "hello\n")
		}
		w.send(strings.Repeat(get("/hello"), 10))
		for range 10 {
			w.answer().is(t, "hello\n")
		}
		w.closed() // by itself, after that time

		w = s.dial()
		for range 2 {
			w.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
			a := w.answer().is(t, "hello\n")
			if !strings.EqualFold(a.Header.Get("Connection"), "keep-alive") {
				t.Errorf("header %v", a.Header)
			}
		}
		w.send("GET /hello HTTP/1.0\r\n\r\n")
		w.answer().is(t, "hello\n")
		w.closed()
	})
}
