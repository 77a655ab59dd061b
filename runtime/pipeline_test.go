package runtime

import (
	"fapws/runtime/protocol/http1"
	"fapws/runtime/sites"
	"fmt"
	"io"
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

// RFC 9112 §9.3.2: safe requests may be worked on at once, others not, and
// responses keep the order of the requests in any case.
func TestPipelining(t *testing.T) {
	t.Parallel()
	const close = "Connection: close\r\n"
	request := func(method, path, fields string) string {
		return method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n"
	}
	for _, test := range []struct {
		name, requests string
		together       string // the requests that are active before anything is answered
		want           string
	}{
		{"safe", request("GET", "/1", "") + request("HEAD", "/2", "") + request("OPTIONS", "/3", close), "/1 /2 /3", "200:/1 200: 200:/3"},
		{"unsafe behind safe", request("GET", "/1", "") + request("POST", "/2", close), "/1", "200:/1 200:/2"},
		{"safe behind unsafe", request("DELETE", "/1", "") + request("GET", "/2", close), "/1", "200:/1 200:/2"},
		{"a body makes it wait", request("GET", "/1", "") + request("GET", "/2", close+"Content-Length: 1\r\n") + "x", "/1", "200:/1 200:/2"},
		{"unknown method", request("GET", "/1", "") + request("BREW", "/2", close), "/1", "200:/1 200:/2"},
		{"no route between", request("GET", "/1", "") + request("GET", "*", "") + request("GET", "/3", close), "/1", "200:/1 400:"},
		{"nothing behind close", request("GET", "/1", close) + request("GET", "/2", ""), "/1", "200:/1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var arrived journal
			var gate sync.WaitGroup
			gate.Add(1)
			a := newApp(false, func(c *call) {
				arrived.add(c.Path)
				gate.Wait()
				if c.Method == "HEAD" {
					c.reply(200, "")
					return
				}
				c.reply(200, c.Path)
			})
			s := serve(t, Config{}, a)
			c := s.dial(t)
			io.WriteString(c, test.requests)
			n := len(strings.Fields(test.together))
			eventually(t, "in flight", func() bool { return len(strings.Fields(arrived.String())) >= n })
			s.do(func() {}) // the loop has seen it all
			if got := len(strings.Fields(arrived.String())); got != n {
				t.Errorf("in flight: %s, want %s", arrived.String(), test.together)
			}
			gate.Done()
			all, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			if got := bodies(t, string(all)); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
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

// A client may send any amount ahead: it is read when its turn comes.
func TestSendingFarAhead(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	a := newApp(false, func(c *call) {
		<-gate
		c.reply(200, fmt.Sprint(len(c.Body)))
	})
	s := serve(t, Config{}, a)
	c := s.dial(t)
	const n, size = 100, 30000
	request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, strings.Repeat(request, n))
		c.CloseWrite()
		sent <- err
	}()
	var paused *sites.Client
	eventually(t, "paused", func() bool {
		s.do(func() {
			for _, c := range s.loop.all() {
				if c.Paused() {
					paused = c
				}
			}
		})
		return paused != nil
	})
	s.do(func() {
		if n := len(paused.Pending()); n > http1.MaxPending+s.cfg.ReadBuffer {
			t.Errorf("%d bytes are kept", n)
		}
	})
	close(gate)
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(all), "\r\n\r\n30000"); got != n {
		t.Errorf("%d answers, want %d", got, n)
	}
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
