package pybridge

import (
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

func asgi(t testing.TB, line, body string, fields ...string) *response {
	t.Helper()
	r := submitASGI(t, &response{}, line, body, fields...)
	<-r.done
	return r
}

func submitASGI(t testing.TB, r *response, line, body string, fields ...string) *response {
	t.Helper()
	mount := loop.app.Apps[asgiApp].Table[0].Index
	return loop.submitAs(t, r, func(string) (int, int) { return mount, 0 }, line, body, fields...)
}

func handler(t testing.TB, line, body string) *response {
	t.Helper()
	r := submitHandler(t, &response{}, line, body)
	<-r.done
	return r
}

func submitHandler(t testing.TB, r *response, line, body string) *response {
	t.Helper()
	return loop.submitAs(t, r, func(path string) (int, int) {
		for _, m := range loop.app.Apps[asyncPaths].Table {
			if path == m.Prefix || strings.HasPrefix(path, m.Prefix+"/") {
				return m.Index, len(m.Prefix)
			}
		}
		t.Fatal("no mount for ", path)
		return 0, 0
	}, line, body)
}

func same(t testing.TB, got, want string) {
	t.Helper()
	checktest.Equal(t, got, want)
}

func TestASGITrailerThatHTTPForbidsIsAnError(t *testing.T) {
	var names []string
	for _, name := range append([]string{"X-Sum", "Content-Digest", "Server-Timing", "ETag", "Iff", "Aged"},
		http1.NotTrailers...) {
		if strings.HasSuffix(name, "-") {
			name += "Type"
		}
		names = append(names, name, strings.ToUpper(name))
	}
	want := ""
	for _, name := range names {
		if http1.ValidTrailer(name) {
			want += name + ": 1\r\n"
		}
	}
	checktest.Truef(t, len(want) > 0 && !strings.Contains(want, "ookie"), "%s", want)
	r := asgi(t, "GET /trailers?"+strings.Join(names, ","), "", "TE: trailers")
	same(t, r.body.String()+"|"+r.behind, "hello|"+want)
	checktest.Truef(t, r.head.Length == -1 && !r.failed, "length %v failed %v", r.head.Length, r.failed)
}

func TestStackNamesTheAsyncioThread(t *testing.T) {
	g := newGate(t)
	r := submitASGI(t, &response{}, strings.Replace("GET "+g.target(), "blocked", "blocks", 1), "")
	shows(t, `GET /blocks\?\d+ HTTP/1.1 .*, running on the asyncio thread\n(.*\n)*.*in do_blocks\n +os\.read`)
	g.open(1)
	<-r.done
	same(t, r.body.String(), "released")
}

func TestBlockedAsyncioThreadIsReported(t *testing.T) {
	stuck := impatient(t, generous)
	g := newGate(t)
	late := func() {
		r := submitASGI(t, &response{}, "GET /hello", "")
		loop.do(func() {
			loop.h.Cancel(r.ticket, time.Second)
		})
		<-r.done
	}
	said := captured(t, func() {
		same(t, asgi(t, strings.Replace("GET "+g.target(), "blocked", "blocks_afterwards", 1), "").body.String(), "answered")
		late()
		select {
		case why := <-stuck:
			same(t, why, "requests wait for the asyncio thread, which is stuck")
		case <-time.After(generous):
			t.Error("nobody has noticed")
		}
		g.open(1)
		same(t, asgi(t, "GET /hello", "").body.String(), "hello")
		loop.h.settled()
	})
	checktest.Truef(t, strings.Contains(said, "after waiting ") &&
		strings.Contains(said, "s for the asyncio thread; discarded") && strings.Contains(said, "; stack:\n") &&
		strings.Contains(said, "in do_blocks_afterwards\n    os.read("), "%s", said)
}

// The threads pass the coroutines of send() to the event loop of the application, because threads cannot await
// coroutines themselves.
func TestASGISendWorksFromOtherThreads(t *testing.T) {
	body := asgi(t, "GET /elsewhere", "").body.String()
	same(t, strings.TrimLeft(body, "x"),
		"receive() and send() must be awaited on the thread that runs the application; use asyncio.run_coroutine_threadsafe")
	checktest.Equalf(t, strings.Count(body, "x"), 50*20000, "bytes")
}

func (h *Handler) settled() { <-h.withGIL(func() {}) }

func impatient(t *testing.T, forGIL time.Duration) chan string {
	stuck := make(chan string, 16)
	set := func(p timeoutPolicy, f func(string, bool)) {
		loop.h.mu.Lock()
		defer loop.h.mu.Unlock()
		loop.h.timeoutPolicy, loop.h.config.Stuck, loop.h.asksForEnd = p, f, false
		loop.h.hung = false
	}
	set(timeoutPolicy{forGIL, 10 * time.Millisecond}, func(why string, _ bool) { stuck <- why })
	t.Cleanup(func() { set(defaultTimeoutPolicy, nil) })
	return stuck
}
