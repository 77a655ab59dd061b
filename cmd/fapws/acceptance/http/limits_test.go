package http_test

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Clients make room when they are idle: more than --max-clients wait in the listen queue, and all are served.
func TestMaxClients(t *testing.T) {
	t.Parallel()
	inItsTime(t, func(t *testing.T, timeout time.Duration, p *pace) error {
		const most, clients = 4, 8
		p.restart()
		s, _ := fapwstest.ServeSlow(t, fapwstest.Threads, "--max-clients", fmt.Sprint(most), "--keep-alive", timeout.String())
		results := make(chan error)
		paces := make([]pace, clients)
		for i := range clients {
			w, p := s.Dial(), &paces[i]
			go func() {
				for n := range 3 {
					a, err := w.Tries(fapwstest.Get("/sleeping"))
					if err == nil && a.Text != "slept" {
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
				w.Closed()
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
		if at := s.Get("/most", 200).Text; at < "1" || at > fmt.Sprint(most) {
			t.Errorf("%s handlers ran at the same time", at)
		}
		return nil
	})
}

// At the limit of open files nothing dies, and all are served in the end.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		flags []string
	}{
		{"with its own limit", nil},
		{"with a limit that is too high", []string{"--max-clients", "1000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := fapwstest.Command{Script: "returns.py", Shell: "ulimit -n 64", Flags: c.flags}.Serve(t, fapwstest.Threads)
			const clients = 300
			crowd := make([]*fapwstest.Client, clients)
			for i := range crowd {
				crowd[i] = s.Dial()
				crowd[i].Send(fapwstest.Get([]string{"/str", "/generator", "/bytes"}[i%3], "Connection: close"))
			}
			var all sync.WaitGroup
			for _, w := range crowd {
				all.Go(func() { w.Answer().Want(t, 200) })
			}
			all.Wait()
			for _, path := range []string{"/str", "/big", "/html"} {
				s.Get(path, 200)
			}
		})
	}
}

// Large responses to clients that read late wait for a descriptor each.
func TestFewDescriptorsForTransfers(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "slow.py", Args: []string{t.TempDir()}, Shell: "ulimit -n 64"}.Serve(t, fapwstest.Threads)
	crowd := make([]*fapwstest.Client, 30)
	for i := range crowd {
		crowd[i] = s.Dial()
		crowd[i].Send(fapwstest.Get("/shared", "Connection: close"))
	}
	time.Sleep(500 * time.Millisecond) // no client reads: all transfers that can begin have begun
	var all sync.WaitGroup
	for _, w := range crowd {
		all.Go(func() {
			if a := w.Answer(); a.StatusCode != 200 || a.Err != nil || len(a.Text) != 16_000_000 {
				t.Errorf("status %d, %d bytes, %v", a.StatusCode, len(a.Text), a.Err)
			}
		})
	}
	all.Wait()
}

// Requests beyond the queue get 503 with Retry-After.
func TestMaxQueue(t *testing.T) {
	t.Parallel() // with threads only: inline nothing queues
	s, folder := fapwstest.ServeSlow(t, fapwstest.Threads, "--threads", "1", "--max-queue", "3")
	first := s.Dial()
	first.Get("/wait")
	fapwstest.FileSays(t, folder+"/entered", "yes")
	answers := make([]*fapwstest.Answer, 10)
	var all sync.WaitGroup
	refused := make(chan int, len(answers))
	for i := range answers {
		w := s.Dial()
		all.Go(func() {
			w.Send(fapwstest.Get("/"))
			answers[i] = w.Answer()
			if answers[i].StatusCode == 503 {
				refused <- i
			}
		})
	}
	for range len(answers) - 3 { // the others wait
		<-refused
	}
	fapwstest.Write(t, folder+"/go", "")
	first.Answer().Is(t, "waited")
	all.Wait()
	for _, a := range answers {
		if a.StatusCode == 503 {
			if a.Header.Get("Retry-After") == "" || a.Close {
				t.Errorf("503 with %q, close %v", a.Header, a.Close)
			}
		} else {
			a.Is(t, "quick")
		}
	}
	s.Get("/", 200).Is(t, "quick")
}

// One worker with one thread, or inline, runs one handler at a time.
func TestSerial(t *testing.T) {
	t.Parallel()
	for _, threads := range []string{"0", "1"} {
		s, _ := fapwstest.ServeSlow(t, fapwstest.Mode{}, "--workers", "1", "--threads", threads)
		var all sync.WaitGroup
		for range 10 {
			w := s.Dial()
			all.Go(func() {
				w.Send(fapwstest.Get("/sleeping"), fapwstest.Get("/sleeping"))
				w.Answer().Is(t, "slept")
				w.Answer().Is(t, "slept")
			})
		}
		all.Wait()
		s.Get("/most", 200).Is(t, "1")
	}
}

// With threads, a handler that waits does not delay others.
func TestSlowHandler(t *testing.T) {
	t.Parallel()
	s, folder := fapwstest.ServeSlow(t, fapwstest.Threads)
	slow := make([]*fapwstest.Client, 4)
	for i := range slow {
		slow[i] = s.Dial()
		slow[i].Get("/wait")
		fapwstest.FileSays(t, folder+"/entered", strings.Repeat("yes\n", i+1))
		s.Get("/", 200).Is(t, "quick")
	}
	w := s.Dial()
	for range 100 {
		w.Get("/")
		w.Answer().Is(t, "quick")
		w.Get("/nothing-but-404") // answered by /
		w.Answer().Want(t, 200)
	}
	fapwstest.Write(t, folder+"/go", "")
	for _, w := range slow {
		w.Answer().Is(t, "waited")
	}
}

// While all threads are in handlers, files still go out.
func TestSlowHandlersAndFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Script: "files.py", Args: []string{folder}, Flags: []string{"--threads", "2"}}.Serve(t, fapwstest.Threads)
	fapwstest.Write(t, folder+"/site/one.txt", "one")
	slow := []*fapwstest.Client{s.Dial(), s.Dial()}
	for i, w := range slow {
		w.Get("/wait")
		fapwstest.FileSays(t, folder+"/entered", strings.Repeat("yes\n", i+1))
	}
	for range 20 {
		s.Get("/static/one.txt", 200).Is(t, "one")
		s.Get("/nothing", 404)
	}
	fapwstest.Write(t, folder+"/go", "")
	for _, w := range slow {
		w.Answer().Is(t, "waited")
	}
}

// Several clients at the same time get a huge body that they share, and what follows it.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.ServeSlow(t, fapwstest.Threads)
	want := strings.Repeat("l", 30_000_000)
	var all sync.WaitGroup
	for range 3 {
		w := s.Dial()
		all.Go(func() {
			w.Send(fapwstest.Get("/large"), fapwstest.Get("/"))
			if a := w.Answer().Want(t, 200); a.Text != want {
				t.Errorf("%d bytes", len(a.Text))
			}
			w.Answer().Is(t, "quick")
		})
	}
	all.Wait()
}
