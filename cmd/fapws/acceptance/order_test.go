package acceptance

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestOrderOfOneClient: a client publishes through one worker, waits for the answer, and publishes
// through another one. Subscribers get its events in this order.
func TestOrderOfOneClient(t *testing.T) {
	inEach(t, []mode{modes[2], {"workers inline", []string{"--workers", "2", "--threads", "0"}}}, func(t *testing.T, m mode) {
		s := serve(t, m, "order.py")
		events := s.listen("/news")
		const each = 500
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
			publishers := s.onEachWorker(kind)
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

// TestPublishWithoutSupervisor: a supervisor that does not go on delays who publishes, and no one else.
func TestPublishWithoutSupervisor(t *testing.T) {
	t.Parallel()
	s := serve(t, modes[2], "order.py")
	events := s.listen("/news")
	s.get("/sync?before", 200)
	s.signal(syscall.SIGSTOP)
	t.Cleanup(func() { s.signal(syscall.SIGCONT) })
	for _, kind := range []string{"/sync", "/thread", "/pieces", "/coroutine", "/asgi"} {
		s.get(kind+"?"+kind, 200)
		s.get("/pid", 200)
	}
	s.signal(syscall.SIGCONT)
	events.gets("before")
	events.gets2("/sync", "/thread", "/pieces", "/coroutine", "/asgi")
}

// onEachWorker returns two functions that publish a text, each through a worker of its own, and return
// when that has answered.
func (s *server) onEachWorker(kind string) [2]func(text string) {
	s.t.Helper()
	connect := func() (say func(text string), pid string) {
		if kind != "/ws" {
			w := s.dial()
			w.get("/pid")
			return func(text string) {
				w.SetDeadline(time.Now().Add(patience))
				w.get(kind + "?" + text)
				w.answer().want(s.t, 200)
			}, w.answer().body
		}
		c := s.room(kind)
		says(s.t, c, "pid")
		return func(text string) {
			c.Conn.SetDeadline(time.Now().Add(patience))
			says(s.t, c, text)
			told(s.t, c)
		}, told(s.t, c)
	}
	one, first := connect()
	for range 200 {
		if other, second := connect(); second != first {
			return [2]func(string){one, other}
		}
	}
	s.t.Fatal("all connections are those of one worker")
	return [2]func(string){}
}

// What one client publishes, one request after the other, arrives in its order, whichever
// worker's child publishes it.
func TestForkedChildrenPublishInOrder(t *testing.T) {
	t.Parallel()
	s := command{script: "fork.py", flags: []string{"--fork"}, args: []string{t.TempDir()}}.serve(t, modes[2])
	l := s.listen("/news")
	for i := range 40 {
		s.get(fmt.Sprintf("/publishes?%d", i), 200) // on a connection of its own
	}
	for i := range 40 {
		for n := range 3 {
			l.gets(fmt.Sprintf("%d %d", i, n))
		}
	}
}
