package runtime

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// journal records what happens to calls, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	j.lines = append(j.lines, line)
	j.mu.Unlock()
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, " ")
}

// Whatever the order in which the application is ready, the client sees its own.
func TestOrderOfManyResponses(t *testing.T) {
	t.Parallel()
	const n = 200 // more than may be active
	var mu sync.Mutex
	var waiting []*call
	a := newApp(false, nil)
	a.f = func(c *call) {
		mu.Lock()
		defer mu.Unlock()
		waiting = append(waiting, c)
		a.mu.Lock()
		all := len(waiting) == len(a.calls)
		a.mu.Unlock()
		if all { // the newest first
			for i := len(waiting) - 1; i >= 0; i-- {
				waiting[i].reply(200, waiting[i].Path)
			}
			waiting = nil
		}
	}
	s := serve(t, Config{}, a)
	var requests, want strings.Builder
	for i := range n {
		last := ""
		if i == n-1 {
			last = "Connection: close\r\n"
		}
		fmt.Fprintf(&requests, "GET /%d HTTP/1.1\r\nHost: x\r\n%s\r\n", i, last)
		fmt.Fprintf(&want, " 200:/%d", i)
	}
	if got := " " + bodies(t, s.talk(t, requests.String())); got != want.String() {
		t.Errorf("got %q", got)
	}
	eventually(t, "all released", a.idle)
}

// The loop must not miss posted functions among requests.
func TestTasksAmongRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	c, d := s.dial(t), s.dial(t)
	for i := range 300 {
		w := c
		if i%3 == 0 {
			w = d
		}
		fmt.Fprintf(w, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		if got := readBody(t, w); string(got) != fmt.Sprintf("GET /%d?", i) {
			t.Fatalf("%d: %q", i, got)
		}
		if i%10 == 0 {
			s.do(func() {}) // gets the loop out of its wait
		}
	}
}

// The same when requests of several clients come at once.
func TestTasksAmongClients(t *testing.T) {
	t.Parallel()
	for _, inline := range []bool{true, false} {
		s := serve(t, Config{}, newApp(inline, demo))
		var clients sync.WaitGroup
		for range 4 {
			w := s.dial(t)
			clients.Go(func() {
				for i := range 200 {
					fmt.Fprintf(w, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
					if got := readBody(t, w); string(got) != fmt.Sprintf("GET /%d?", i) {
						t.Errorf("%d: %q", i, got)
						return
					}
				}
			})
		}
		for range 500 {
			s.do(func() {}) // returns, whatever the loop is about to do
		}
		clients.Wait()
	}
}
