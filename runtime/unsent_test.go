package runtime

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/source/cache"
)

// chooser is a Pacer whose requests wait in a queue until the test runs them by their paths.
type chooser struct {
	*testApp
	choice sync.Mutex
	queue  []*call // submitted or resumed, and not run
	aside  []*call // that it must not run before Resume
}

func newChooser() *chooser {
	return &chooser{testApp: newApp(false, nil)}
}

func (a *chooser) Submit(r *exchange.Request) bool {
	if !a.testApp.Submit(r) {
		return false
	}
	a.mu.Lock()
	c := a.waiting[0]
	a.waiting = nil
	a.mu.Unlock()
	a.choice.Lock()
	defer a.choice.Unlock()
	if r.Held {
		a.aside = append(a.aside, c)
	} else {
		a.queue = append(a.queue, c)
	}
	return true
}

func (a *chooser) Resume(t exchange.Ticket) {
	a.choice.Lock()
	defer a.choice.Unlock()
	a.queue = append(a.queue, out(&a.aside, func(c *call) bool { return c.ticket == t }))
}

func (a *chooser) Recall(t exchange.Ticket) {
	a.choice.Lock()
	c := out(&a.queue, func(c *call) bool { return c.ticket == t })
	if c != nil {
		a.aside = append(a.aside, c)
	}
	a.choice.Unlock()
	if c == nil {
		return
	}
	a.mu.Lock()
	a.nextRef++
	a.tokens[a.nextRef] = make(chan struct{})
	a.parts = append(a.parts, exchange.Part{Ticket: t, Op: exchange.OpDeferred, File: -1, Ref: a.nextRef})
	a.made++
	a.mu.Unlock()
	a.waker.Wake()
}

// Cancel ends calls that have not been run: their last part comes as well.
func (a *chooser) Cancel(t exchange.Ticket) {
	a.choice.Lock()
	c := out(&a.queue, func(c *call) bool { return c.ticket == t })
	a.choice.Unlock()
	if c != nil {
		c.reply(500, "")
	}
}

// out takes the first call that is wanted out of a list; nil: there is none.
func out(list *[]*call, wanted func(*call) bool) *call {
	for i, c := range *list {
		if wanted(c) {
			*list = append((*list)[:i:i], (*list)[i+1:]...)
			return c
		}
	}
	return nil
}

func (a *chooser) paths(list *[]*call) string {
	a.choice.Lock()
	defer a.choice.Unlock()
	var all []string
	for _, c := range *list {
		all = append(all, c.Script+c.Path)
	}
	return strings.Join(all, " ")
}

// run answers the request for a path, when it is there, with its path and size bytes.
func (a *chooser) run(t *testing.T, path string, size int) {
	t.Helper()
	var c *call
	eventually(t, "the application may run "+path, func() bool {
		a.choice.Lock()
		defer a.choice.Unlock()
		c = out(&a.queue, func(c *call) bool { return c.Script+c.Path == path })
		return c != nil
	})
	c.reply(200, path+strings.Repeat(" ", size))
}

// slowReaders is a server that keeps at most a mebibyte for a client.
func slowReaders(t *testing.T, cfg Config, mounts ...sites.Mount) (*testServer, *chooser) {
	t.Helper()
	a := newChooser()
	rec := &logRecorder{}
	cfg.MaxUnsent, cfg.Log = 1<<20, rec.add
	s, err := New(patient(cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ts := &testServer{Server: s, log: rec}
	ts.listen(t, a, mounts...)
	return ts, a
}

func (s *testServer) dialFrom(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func (s *testServer) unsent(t *testing.T) int64 {
	c, ok := s.Counters()
	return map[bool]int64{true: c.Unsent, false: -1}[ok]
}

const large = 16 << 20 // more than the kernel takes for a client that does not read

func asks(t *testing.T, c io.Writer, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
}

func gets(t *testing.T, c io.Reader, path string) {
	t.Helper()
	if body := readBody(t, c); !strings.HasPrefix(string(body), path) {
		t.Fatalf("%.20q instead of %s", body, path)
	}
}

// While much waits for a client, none of its requests is started, on any connection, whether it was queued before or has come
// since. They start in their order when it reads. Other clients do not wait.
func TestUnsentIsBounded(t *testing.T) {
	t.Parallel()
	s, a := slowReaders(t, Config{})
	first, queued, later, other := slowly(t, s), s.dial(t), s.dial(t), s.dialFrom(t, "127.0.0.2")
	asks(t, first, "/first")
	asks(t, queued, "/queued")
	eventually(t, "both are there", func() bool { return a.paths(&a.queue) == "/first /queued" || a.paths(&a.queue) == "/queued /first" })
	a.run(t, "/first", large)
	eventually(t, "the queued one is given back", func() bool { return a.paths(&a.aside) == "/queued" })
	asks(t, later, "/later")
	eventually(t, "the later one is held", func() bool { return a.paths(&a.aside) == "/queued /later" })
	asks(t, other, "/other")
	a.run(t, "/other", 0)
	gets(t, other, "/other")
	eventually(t, "the two are counted, and the large response", func() bool {
		c, ok := s.Counters()
		return ok && c.HeldBack == 2 && c.Unsent >= large-(8<<20) && c.Unsent <= large+1024
	})
	if got := a.paths(&a.queue) + "|" + a.paths(&a.aside); got != "|/queued /later" {
		t.Errorf("queued | aside: %s", got)
	}
	gets(t, first, "/first")
	eventually(t, "both go on", func() bool { return a.paths(&a.queue) == "/queued /later" })
	a.run(t, "/queued", 0)
	a.run(t, "/later", 0)
	gets(t, queued, "/queued")
	gets(t, later, "/later")
	eventually(t, "nothing waits", func() bool { return s.unsent(t) == 0 && a.idle() })
	if n := strings.Count(s.log.String(), "127.0.0.1 reads too slowly"); n != 1 {
		t.Errorf("%d lines: %s", n, s.log)
	}
}

// An answer that waits for the one before it does not keep that one from being made.
func TestUnsentBehindTheFirst(t *testing.T) {
	t.Parallel()
	s, a := slowReaders(t, Config{})
	c := slowly(t, s)
	asks(t, c, "/0", "/1", "/2")
	eventually(t, "all are there", func() bool { return a.paths(&a.queue) == "/0 /1 /2" })
	a.run(t, "/1", large)
	eventually(t, "only the first may run", func() bool { return a.paths(&a.queue) == "/0" && a.paths(&a.aside) == "/2" })
	a.run(t, "/0", large)
	gets(t, c, "/0")
	gets(t, c, "/1")
	a.run(t, "/2", 0)
	gets(t, c, "/2")
	eventually(t, "nothing waits", func() bool { return s.unsent(t) == 0 && a.idle() })
}

// A client that reads nothing is closed after WriteTimeout, and one that leaves is gone at once; then its other requests start.
func TestUnsentOfThoseWhoLeave(t *testing.T) {
	t.Parallel()
	for name, timeout := range map[string]time.Duration{"write timeout": 100 * time.Millisecond, "leaving": time.Hour} {
		t.Run(name, func(t *testing.T) {
			s, a := slowReaders(t, Config{WriteTimeout: timeout})
			first, next := slowly(t, s), s.dial(t)
			asks(t, first, "/first", "/ahead")
			asks(t, next, "/next")
			eventually(t, "all are there", func() bool { return strings.Count(a.paths(&a.queue), "/") == 3 })
			a.run(t, "/first", large)
			if timeout == time.Hour {
				eventually(t, "the others wait", func() bool { return strings.Count(a.paths(&a.aside), "/") == 2 })
				first.SetLinger(0)
				first.Close()
			}
			a.run(t, "/next", 0)
			gets(t, next, "/next")
			eventually(t, "nothing waits", func() bool { return s.unsent(t) == 0 && a.idle() })
		})
	}
}

// A client that waits does not make others wait for the page that it has asked for first.
func TestUnsentAndCache(t *testing.T) {
	t.Parallel()
	rule, err := cache.Compile(cache.Rule{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s, a := slowReaders(t, Config{CacheSize: 1 << 20}, sites.Mount{Prefix: "/page", Cache: rule}, sites.Mount{Prefix: "/"})
	first, next, other := slowly(t, s), s.dial(t), s.dialFrom(t, "127.0.0.2")
	asks(t, first, "/first")
	a.run(t, "/first", large)
	eventually(t, "it is counted", func() bool { return s.unsent(t) > 1<<20 })
	asks(t, next, "/page")
	eventually(t, "the page waits", func() bool { return a.paths(&a.aside) == "/page" })
	asks(t, other, "/page")
	a.run(t, "/page", 0)
	gets(t, other, "/page")
	gets(t, next, "/page")
	gets(t, first, "/first")
	eventually(t, "nothing waits", func() bool { return s.unsent(t) == 0 && a.idle() })
}

// Behind a trusted proxy, the client is the one that it names.
func TestUnsentBehindProxy(t *testing.T) {
	t.Parallel()
	s, a := slowReaders(t, Config{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	ask := func(c io.Writer, path, client string) {
		io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: "+client+"\r\n\r\n")
	}
	first, next, other := slowly(t, s), s.dial(t), s.dial(t)
	ask(first, "/first", "2001:db8::1")
	a.run(t, "/first", large)
	eventually(t, "it is counted", func() bool { return s.unsent(t) > 1<<20 })
	ask(next, "/next", "2001:db8::2") // the same network of 64 bits
	eventually(t, "it waits", func() bool { return a.paths(&a.aside) == "/next" })
	ask(other, "/other", "2001:db8:1::1")
	a.run(t, "/other", 0)
	gets(t, other, "/other")
	gets(t, first, "/first")
	a.run(t, "/next", 0)
	gets(t, next, "/next")
}
