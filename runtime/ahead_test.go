package runtime

import (
	"bufio"
	"fapws/runtime/sites"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
)

// pacer is an app that defers every request which was sent ahead, until Resume.
type pacer struct {
	*testApp
	paced    sync.Mutex
	deferred map[exchange.Ticket]*call
	resumed  journal
}

func newPacer(f func(*call)) *pacer {
	return &pacer{testApp: newApp(false, f), deferred: map[exchange.Ticket]*call{}}
}

func (a *pacer) Submit(r *exchange.Request) bool {
	if !a.testApp.Submit(r) {
		return false
	}
	if r.Pipeline == 0 {
		return true
	}
	a.mu.Lock()
	c := a.waiting[len(a.waiting)-1]
	a.waiting = a.waiting[:len(a.waiting)-1]
	a.mu.Unlock()
	a.paced.Lock()
	a.deferred[r.Ticket] = c
	a.paced.Unlock()
	a.say(c)
	return true
}

// say gives the part that defers c; it is not the first of the answer.
func (a *pacer) say(c *call) {
	a.mu.Lock()
	a.nextRef++
	a.tokens[a.nextRef] = make(chan struct{})
	a.parts = append(a.parts, exchange.Part{Ticket: c.ticket, Op: exchange.OpDeferred, File: -1, Ref: a.nextRef})
	a.made++
	a.mu.Unlock()
	a.waker.Wake()
}

func (a *pacer) Resume(t exchange.Ticket) {
	a.paced.Lock()
	c := a.deferred[t]
	delete(a.deferred, t)
	a.paced.Unlock()
	a.resumed.add(c.Path)
	a.mu.Lock()
	a.waiting = append(a.waiting, c)
	a.mu.Unlock()
}

// ahead is n requests in one text, to paths from /0 on.
func ahead(n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
	}
	return all.String()
}

// readAhead reads the answers to ahead(n), whose bodies begin with their paths.
func readAhead(t *testing.T, c io.Reader, n int) {
	t.Helper()
	r := bufio.NewReader(c)
	for i := range n {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		body, err := io.ReadAll(res.Body)
		if want := fmt.Sprintf("/%d", i); err != nil || !strings.HasPrefix(string(body), want) {
			t.Fatalf("answer %d is %d %.20q, %v", i, res.StatusCode, body, err)
		}
	}
}

// Sources that know no bound get three requests of a connection at once, in a cached mount too, where one
// request may wait for the page that another one fetches.
func TestAheadIsBounded(t *testing.T) {
	t.Parallel()
	for _, caches := range []bool{false, true} {
		t.Run(fmt.Sprint("cache ", caches), func(t *testing.T) {
			var begun journal
			gate := make(chan struct{})
			f := func(c *call) {
				begun.add(c.Path)
				<-gate
				c.reply(200, c.Path+strings.Repeat(" ", 1<<20))
			}
			var s *testServer
			var a *testApp
			if caches {
				s, a = cachedServer(t, Config{}, cache.Rule{TTL: time.Minute}, false, f)
			} else {
				a = newApp(false, f)
				s = serve(t, Config{}, a)
			}
			c := s.dial(t)
			io.WriteString(c, ahead(sites.MaxActive))
			eventually(t, "three have begun", func() bool { return len(strings.Fields(begun.String())) >= sites.MaxAhead+1 })
			s.do(func() {})
			if got := strings.Fields(begun.String()); len(got) != sites.MaxAhead+1 {
				t.Errorf("%d have begun: %v", len(got), got)
			}
			close(gate)
			readAhead(t, c, sites.MaxActive)
			eventually(t, "all released", a.idle)
		})
	}
}

// Exchanges that a Pacer has deferred are resumed in order, at most two ahead of the answer whose turn it is.
func TestPacer(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{}, sites.MaxActive)
	a := newPacer(func(c *call) {
		<-gate
		c.reply(200, c.Path)
	})
	s, err := New(settled(Config{Log: func(logfile.Level, string) {}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ts := &testServer{Server: s}
	ts.listen(t, a)
	c := ts.dial(t)
	io.WriteString(c, ahead(8))
	eventually(t, "two are resumed behind the first", func() bool { return len(strings.Fields(a.resumed.String())) == 2 })
	ts.do(func() {})
	if got := a.resumed.String(); got != "/1 /2" {
		t.Errorf("resumed: %s", got)
	}
	for range 8 {
		gate <- struct{}{}
	}
	readAhead(t, c, 8)
	if got := a.resumed.String(); got != "/1 /2 /3 /4 /5 /6 /7" {
		t.Errorf("resumed: %s", got)
	}
	eventually(t, "all released", a.idle)

	// A client that leaves: the last part of each comes all the same.
	io.WriteString(c, ahead(8))
	eventually(t, "all are there", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.calls) == 8
	})
	c.SetLinger(0)
	c.Close()
	close(gate)
	eventually(t, "all have ended", a.idle)
}
