package acceptance

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// More clients than --max-clients wait in the listen queue, and all are served.
func TestMaxClients(t *testing.T) {
	const most = 4
	serves := func(t *testing.T, m mode, keepAlive time.Duration, clients int, last string, p *pace) error {
		s, _ := waiting(t, m, "--max-clients", fmt.Sprint(most), "--keep-alive", keepAlive.String())
		results := make(chan error)
		paces := make([]pace, clients)
		for i := range clients {
			w, p := s.dial(), &paces[i]
			go func() {
				for n, field := range []string{"X-A: b", "X-A: b", last} {
					a, err := w.tries(get("/sleeping", field))
					if err == nil && a.body != "slept" {
						err = errors.New(a.Status)
					}
					if n == 0 {
						p.restart() // it may have waited until others left
					}
					if p.step(); err != nil {
						results <- err
						return
					}
				}
				w.closed()
				results <- nil
			}()
		}
		var failed error
		for range clients {
			failed = cmp.Or(<-results, failed)
		}
		for i := range paces {
			p.longest = max(p.longest, paces[i].longest)
		}
		p.restart()
		if failed != nil {
			return failed
		}
		switch at := s.get("/most", 200).body; {
		case m.inline() && at != "1", !m.inline() && (at < "1" || at > fmt.Sprint(most)):
			t.Errorf("%s handlers ran at the same time", at)
		}
		return nil
	}
	t.Run("that leave", func(t *testing.T) {
		inModes(t, func(t *testing.T, m mode) {
			if err := serves(t, m, time.Hour, 20, "Connection: close", new(pace)); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("that make room when they are idle", func(t *testing.T) {
		inModes(t, func(t *testing.T, m mode) {
			inItsTime(t, func(t *testing.T, timeout time.Duration, p *pace) error {
				p.restart()
				return serves(t, m, timeout, 8, "Connection: keep-alive", p)
			})
		})
	})
}

// At the limit of open files nothing dies, and all are served in the end.
func TestFewDescriptors(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
	}{
		{"with its own limit", nil},
		{"with a limit that is too high", []string{"--max-clients", "1000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, m mode) {
				s := command{script: "returns.py", shell: "ulimit -n 64", flags: c.flags}.serve(t, m)
				const clients = 300
				crowd := make([]*wire, clients)
				for i := range crowd {
					crowd[i] = s.dial()
					crowd[i].send(get([]string{"/str", "/generator", "/bytes"}[i%3], "Connection: close"))
				}
				var all sync.WaitGroup
				for _, w := range crowd {
					all.Go(func() { w.answer().want(t, 200) })
				}
				all.Wait()
				for _, path := range []string{"/str", "/big", "/html"} {
					s.get(path, 200)
				}
			})
		})
	}
}

// Large responses to clients that read late wait for a descriptor each.
func TestFewDescriptorsForTransfers(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: "slow.py", args: []string{t.TempDir()}, shell: "ulimit -n 64"}.serve(t, m)
		crowd := make([]*wire, 30)
		for i := range crowd {
			crowd[i] = s.dial()
			crowd[i].send(get("/shared", "Connection: close"))
		}
		time.Sleep(500 * time.Millisecond) // nobody reads: what can be started has been
		var all sync.WaitGroup
		for _, w := range crowd {
			all.Go(func() {
				if a := w.answer(); a.StatusCode != 200 || a.err != nil || len(a.body) != 16_000_000 {
					t.Errorf("status %d, %d bytes, %v", a.StatusCode, len(a.body), a.err)
				}
			})
		}
		all.Wait()
	})
}

// Requests beyond the queue are told to come back.
func TestMaxQueue(t *testing.T) {
	t.Parallel() // with threads only: inline nothing queues
	s, folder := waiting(t, modes[0], "--threads", "1", "--max-queue", "3")
	first := s.dial()
	first.get("/wait")
	fileSays(t, folder+"/entered", "yes")
	answers := make([]*answer, 10)
	var all sync.WaitGroup
	refused := make(chan int, len(answers))
	for i := range answers {
		w := s.dial()
		all.Go(func() {
			w.send(get("/"))
			answers[i] = w.answer()
			if answers[i].StatusCode == 503 {
				refused <- i
			}
		})
	}
	for range len(answers) - 3 { // the others wait
		<-refused
	}
	write(t, folder+"/go", "")
	first.answer().is(t, "waited")
	all.Wait()
	for _, a := range answers {
		if a.StatusCode == 503 {
			if a.Header.Get("Retry-After") == "" || a.Close {
				t.Errorf("503 with %q, close %v", a.Header, a.Close)
			}
		} else {
			a.is(t, "quick")
		}
	}
	s.get("/", 200).is(t, "quick")
}

// One worker with one thread, or inline, runs one handler at a time.
func TestSerial(t *testing.T) {
	t.Parallel()
	for _, threads := range []string{"0", "1"} {
		s, _ := waiting(t, mode{}, "--workers", "1", "--threads", threads)
		var all sync.WaitGroup
		for range 10 {
			w := s.dial()
			all.Go(func() {
				w.send(get("/sleeping"), get("/sleeping"))
				w.answer().is(t, "slept")
				w.answer().is(t, "slept")
			})
		}
		all.Wait()
		s.get("/most", 200).is(t, "1")
	}
}

// A handler that waits delays nobody else, with threads.
func TestSlowHandler(t *testing.T) {
	t.Parallel()
	s, folder := waiting(t, modes[0])
	slow := make([]*wire, 4)
	for i := range slow {
		slow[i] = s.dial()
		slow[i].get("/wait")
		fileSays(t, folder+"/entered", strings.Repeat("yes\n", i+1))
		s.get("/", 200).is(t, "quick")
	}
	w := s.dial()
	for range 100 {
		w.get("/")
		w.answer().is(t, "quick")
		w.get("/nothing-but-404") // answered by /
		w.answer().want(t, 200)
	}
	write(t, folder+"/go", "")
	for _, w := range slow {
		w.answer().is(t, "waited")
	}
}

// While all threads are in handlers, files still go out.
func TestSlowHandlersAndFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := command{script: "files.py", args: []string{folder}, flags: []string{"--threads", "2"}}.serve(t, modes[0])
	write(t, folder+"/site/one.txt", "one")
	slow := []*wire{s.dial(), s.dial()}
	for i, w := range slow {
		w.get("/wait")
		fileSays(t, folder+"/entered", strings.Repeat("yes\n", i+1))
	}
	for range 20 {
		s.get("/static/one.txt", 200).is(t, "one")
		s.get("/nothing", 404)
	}
	write(t, folder+"/go", "")
	for _, w := range slow {
		w.answer().is(t, "waited")
	}
}

// A chunk that many clients share costs nothing much, and huge bodies of
// several clients at the same time are all right.
func TestLargeAnswers(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, _ := waiting(t, m)
		want := strings.Repeat("l", 30_000_000)
		var all sync.WaitGroup
		for range 3 {
			w := s.dial()
			all.Go(func() {
				w.send(get("/large"), get("/"), get("/large"))
				if a := w.answer().want(t, 200); a.body != want {
					t.Errorf("%d bytes", len(a.body))
				}
				w.answer().is(t, "quick")
				if a := w.answer().want(t, 200); a.body != want {
					t.Errorf("%d bytes", len(a.body))
				}
			})
		}
		all.Wait()
	})
}
