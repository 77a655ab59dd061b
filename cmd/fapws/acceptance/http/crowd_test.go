package http_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestHandlersRunInParallelOnThreadsOfOneProcess(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "crowd.py", "--threads", "8")
	pid := strconv.Itoa(s.Cmd.Process.Pid)
	for _, path := range []string{"/together", "/wait"} {
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
		took := time.Since(began)
		fapwstest.Truef(t, path != "/wait" || took >= time.Second, "8 requests of a second took %v", took)
	}
	fapwstest.Equalf(t, len(s.Family()), 1, "processes")
}

func TestIdleWorkerAcceptsANewConnection(t *testing.T) {
	t.Parallel()
	const workers = 3
	s := fapwstest.Serve(t, fapwstest.Threads, "crowd.py", "--threads", "1", "--workers", strconv.Itoa(workers))
	late := func(path string) (late bool) {
		folder := t.TempDir()
		var crowd []*fapwstest.Client
		for i := range workers {
			w := s.Dial()
			w.Send(fapwstest.Get(path+"?"+folder, "Connection: close"))
			crowd = append(crowd, w)
			fapwstest.Eventually(t, "a worker has the request, or none has in time", func() bool {
				inside, _ := os.ReadDir(folder)
				late = late || slices.ContainsFunc(inside, func(e os.DirEntry) bool { return e.Name() == "late" })
				return len(inside) > i || late
			})
		}
		for _, w := range crowd {
			w.Answer().Want(t, 200)
		}
		return late
	}
	for _, path := range []string{"/whole", "/everywhere"} {
		fapwstest.Eventually(t, "all workers serve", func() bool { return !late(path) })
		rounds := 0
		for range 12 {
			if late(path) {
				rounds++
			}
		}
		// A round is late if a request had to wait for a busy worker. If busy workers accepted connections, nine of
		// twelve rounds would be late. On a busy machine, a few rounds are late for other reasons.
		fapwstest.Truef(t, rounds <= 4, "%s: in %d of 12 rounds a request waited for a worker that was busy", path, rounds)
	}
}

func TestLoadBeyondMaxClientsWaitsInOrderOfArrival(t *testing.T) {
	t.Parallel()
	for _, most := range []int{4, 1} {
		s := fapwstest.Serve(t, fapwstest.Threads, "crowd.py", "--max-clients", strconv.Itoa(most))
		const clients = 20
		var crowd []*fapwstest.Client
		var want []string
		for i := range clients {
			w := s.Dial()
			w.Send(fapwstest.Get(fmt.Sprint("/enter?", i), "Connection: close"))
			crowd, want = append(crowd, w), append(want, strconv.Itoa(i))
		}
		for _, w := range crowd {
			w.Answer().Is(t, "entered")
		}
		at, order, _ := strings.Cut(s.Get("/seen", 200).Text, " ")
		n, _ := strconv.Atoi(at)
		fapwstest.Truef(t, n >= 1 && n <= most, "%s handlers ran at the same time, with --max-clients %d", at, most)
		came := strings.Split(order, ",")
		fapwstest.Truef(t, len(came) == clients && (most != 1 || slices.Equal(came, want)),
			"with --max-clients %d they were served in the order %s", most, order)
	}
}

func TestLoadBeyondMaxClientsGets503IfConfigured(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "crowd.py", "--max-clients", "3", "--max-clients-action", "503",
		"--keep-alive", "1h")
	var inside []*fapwstest.Client
	for range 3 {
		w := s.Dial()
		w.Fetch("/hello").Is(t, "hello\n")
		// Leave the request incomplete, because the server closes idle connections when other clients connect.
		w.Send("POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n")
		inside = append(inside, w)
	}
	for range 20 {
		w := s.Dial()
		a := w.Fetch("/hello")
		a.Want(t, 503)
		fapwstest.Truef(t, a.Header.Get("Retry-After") == "1" && a.Close, "header %v", a.Header)
		fapwstest.Equal(t, a.Text, "Too many clients are connected to this server. Please try again in a moment.\n")
		w.Closed()
	}
	for _, w := range inside {
		w.Send("x")
		w.Answer().Is(t, "hello\n")
	}
	fapwstest.Eventually(t, "an idle connection closes, and the next client has its place", func() bool {
		w := s.Dial()
		defer w.Close()
		a, err := w.Tries(fapwstest.Get("/hello"))
		return err == nil && a.StatusCode == 200
	})
}
