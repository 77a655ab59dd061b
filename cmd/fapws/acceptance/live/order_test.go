package live_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestOrderOfOneClient: a client publishes through one worker, waits for the answer, and publishes
// through another one. Subscribers get its events in this order.
func TestOrderOfOneClient(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Workers, {Name: "workers inline", Flags: []string{"--workers", "2", "--threads", "0"}}}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "order.py")
		events := listen(s, "/news")
		const each = 200
		got := make(chan error, 1)
		kinds := []string{"/sync", "/thread", "/pieces", "/coroutine", "/asgi", "/ws"}
		go func() {
			for n := range each * len(kinds) {
				if e, err := events.next(); err != nil || e.data != fmt.Sprint(n) {
					got <- fmt.Errorf("event %d (%s): got %q, %v", n, kinds[n/each], e.data, err)
					return
				}
			}
			got <- nil
		}()
		n := 0
		for _, kind := range kinds {
			publishers := onEachWorker(s, kind)
			for range each {
				publishers[n%2](fmt.Sprint(n))
				n++
			}
		}
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}

// TestPublishWithoutSupervisor: a stopped supervisor delays publishers, and no other requests.
func TestPublishWithoutSupervisor(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "order.py")
	events := listen(s, "/news")
	s.Get("/sync?before", 200)
	s.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { s.Signal(syscall.SIGCONT) })
	kinds := []string{"/sync", "/thread", "/pieces", "/coroutine", "/asgi"}
	var publishers []*fapwstest.Client
	for _, kind := range kinds {
		w := s.Dial()
		w.Get(kind + "?" + kind)
		publishers = append(publishers, w)
		s.Get("/pid", 200)
	}
	for _, w := range publishers {
		w.Answer().Want(t, 200)
		s.Get("/pid", 200)
	}
	s.Signal(syscall.SIGCONT)
	events.gets("before")
	events.gets2(kinds...)
}

// onEachWorker returns two functions that publish a text, each through another worker, and return
// when this worker has answered.
func onEachWorker(s *fapwstest.Server, kind string) [2]func(text string) {
	s.T.Helper()
	connect := func() (say func(text string), pid string) {
		if kind != "/ws" {
			w := s.Dial()
			w.Get("/pid")
			return func(text string) {
				w.SetDeadline(time.Now().Add(fapwstest.Patience))
				w.Get(kind + "?" + text)
				w.Answer().Want(s.T, 200)
			}, w.Answer().Text
		}
		c := room(s, kind)
		says(s.T, c, "pid")
		return func(text string) {
			c.Conn.SetDeadline(time.Now().Add(fapwstest.Patience))
			says(s.T, c, text)
			told(s.T, c)
		}, told(s.T, c)
	}
	one, first := connect()
	var other func(string)
	fapwstest.Eventually(s.T, "a connection is accepted by the other worker", func() bool {
		var second string
		other, second = connect()
		return second != first
	})
	return [2]func(string){one, other}
}
