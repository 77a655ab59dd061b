package http_test

import (
	"strings"
	"sync"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestServerWithFewDescriptorsServesAllClientsInTheEnd(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "returns.py", Shell: "ulimit -n 64"}.Serve(t, fapwstest.Threads)
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
}

func TestRequestsBeyondTheQueueGet503WithRetryAfter(t *testing.T) {
	// The test runs with threads only, because inline mode has no queue.
	t.Parallel()
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
	for range len(answers) - 3 {
		<-refused
	}
	fapwstest.Write(t, folder+"/go", "")
	first.Answer().Is(t, "waited")
	all.Wait()
	for _, a := range answers {
		if a.StatusCode == 503 {
			fapwstest.Truef(t, a.Header.Get("Retry-After") != "" && !a.Close, "503 with %q, close %v", a.Header, a.Close)
		} else {
			a.Is(t, "quick")
		}
	}
	s.Get("/", 200).Is(t, "quick")
}

func TestOneThreadRunsOneHandlerAtATime(t *testing.T) {
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

func TestFilesAreSentWhileAllThreadsRunHandlers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Script: "files.py", Args: []string{folder}, Flags: []string{"--threads", "2"}}.Serve(t,
		fapwstest.Threads)
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
