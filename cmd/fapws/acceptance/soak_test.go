package acceptance

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSoak sends mixed requests, from clients of which some leave in the
// middle of a request or of a response, and looks whether the server keeps
// descriptors, threads or memory of them. FAPWS_SOAK_REQUESTS (default 8000)
// is how many requests each mode gets.
func TestSoak(t *testing.T) {
	requests := 8000
	if n := os.Getenv("FAPWS_SOAK_REQUESTS"); n != "" {
		var err error
		if requests, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	inOneProcess(t, func(t *testing.T, m mode) {
		s := command{script: "soak.py", complains: true}.serve(t, m)
		soak(s, max(requests/4, 2000)) // caches, pools and threads get their size
		before := measure(s)
		soak(s, requests)
		after := measure(s)
		t.Logf("%d requests: %v, before %v", requests, after, before)
		// The server looks into files of /proc now and then. Threads retire and memory is given back when it is
		// idle for a while.
		eventually(t, "no more descriptors than before", func() bool { return !measure(s).opens(before) })
		const (
			moreThreads = 4 // Go and the pool start one now and then
			moreMemory  = 4 << 20
		)
		eventually(t, "as many threads as before", func() bool { return s.threads() <= before.threads+moreThreads })
		eventually(t, "as much memory as before", func() bool { return s.rss() <= before.rss+moreMemory })
	})
}

type figures struct {
	kinds   map[string]int // open files by what they are
	threads int
	rss     int
}

func (f figures) String() string {
	return fmt.Sprintf("%d KiB, %d threads, %v", f.rss>>10, f.threads, f.kinds)
}

// opens reports whether files of some kind are open that were not open before.
func (f figures) opens(before figures) bool {
	for name, n := range f.kinds {
		if n > before.kinds[name] {
			return true
		}
	}
	return false
}

// measure waits until all connections are gone.
func measure(s *server) (f figures) {
	s.t.Helper()
	eventually(s.t, "all connections are closed", func() bool {
		f = figures{map[string]int{}, s.threads(), s.rss()}
		for _, target := range s.descriptors() {
			if name, _, found := strings.Cut(target, ":["); found { // socket:[123], pipe:[124]
				target = name
			}
			f.kinds[target]++
		}
		return s.connections() == 0 && f.kinds["socket"] <= 6 // a listener, the two of signals with a copy for channels, the reserve for rejections, that of fapws ctl
	})
	return f
}

// soak sends n requests from a few clients at the same time.
func soak(s *server, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for i := range 8 {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			for left.Load() > 0 && !s.t.Failed() {
				left.Add(-int64(soakConnection(s, random)))
			}
		})
	}
	all.Wait()
}

// soakConnection is one connection of a client with its habits; it returns the
// number of its requests.
func soakConnection(s *server, random *rand.Rand) (sent int) {
	w := s.dial()
	defer w.Close()
	for range 1 + random.IntN(20) {
		sent++
		switch what := random.IntN(40); {
		case what == 0: // leaves in a request
			text := request("POST", "/echo", strings.Repeat("x", 1+random.IntN(400_000)))
			w.send(text[:random.IntN(len(text))])
			w.reset()
			return sent
		case what == 1: // leaves in a response
			w.get([]string{"/endless", "/bytes", "/stream", "/static/soak.py"}[random.IntN(4)])
			_, _ = w.Read(make([]byte, 1+random.IntN(3000)))
			w.reset()
			return sent
		case what == 2: // sends nonsense
			w.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n")
			w.answer().want(s.t, 400)
			return sent
		case what == 3: // does not wait for anything
			w.send(get("/text?1"), get("/stream"), get("/none"), get("/bytes"))
			w.reset()
			return sent + 3
		case what == 4: // asks several at once
			w.send(get("/text?1"), request("POST", "/echo", "two"), get("/file"), get("/text?4"))
			w.answer().is(s.t, "text 1")
			w.answer().is(s.t, "two")
			w.answer().want(s.t, 200)
			w.answer().is(s.t, "text 4")
			sent += 3
		case what == 5:
			body := strings.Repeat("0123456789", 30_000) // goes to a file
			w.send(chunked("POST", "/echo", body, 7000))
			if a := w.answer().want(s.t, 200); a.body != body {
				s.t.Errorf("echo of %d bytes has %d", len(body), len(a.body))
			}
		case what == 6:
			w.get("/none")
			w.answer().want(s.t, 500)
		case what < 10:
			w.get("/stream")
			if a := w.answer().want(s.t, 200); len(a.body) != 20_000 || !bytes.HasSuffix([]byte(a.body), []byte("0019")) {
				s.t.Errorf("stream of %d bytes", len(a.body))
			}
		case what < 13:
			w.get([]string{"/bytes", "/memory"}[what%2])
			if a := w.answer().want(s.t, 200); len(a.body) != 100_000 {
				s.t.Errorf("%d bytes", len(a.body))
			}
		case what < 16:
			w.get([]string{"/file", "/static/page.html"}[what%2])
			w.answer().is(s.t, "<p>h\u00e9</p>\n")
		case what < 20:
			w.send(request("POST", "/form?a=1", "a=2&b=%26", "Content-Type: application/x-www-form-urlencoded"))
			w.answer().is(s.t, `{"a":["1","2"],"b":["&"]}`)
		case what < 25:
			body := strings.Repeat("e", 1+random.IntN(5000))
			w.send(request("POST", "/echo", body))
			w.answer().is(s.t, body)
		default:
			n := strconv.Itoa(random.IntN(1_000_000))
			w.get("/text?" + n)
			w.answer().is(s.t, "text "+n).field(s.t, "X-Query", n)
		}
	}
	return sent
}
