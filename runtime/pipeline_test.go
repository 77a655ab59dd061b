package runtime

import (
	"fmt"
	"sync"
	"testing"
)

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
