package runtime

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
)

// serveBackend starts a server with an application below / and a responder
// below /go, in a pool of at most 32.
func serveBackend(t testing.TB, cfg Config, a *testApp, f backend.Func, mounts ...sites.Mount) *testServer {
	t.Helper()
	log := &logRecorder{}
	pool := backend.New(32, func(line string) { log.add(logfile.Error, line) })
	all := append([]sites.Mount{{Prefix: "/go", Handler: pool, Index: pool.Add(f)}}, mounts...)
	all = append(all, sites.Mount{Prefix: "/"})
	if cfg.Log == nil {
		cfg.Log = log.add
	}
	ts := start(t, patient(cfg), a, sites.Site{Table: all})
	ts.log = log
	return ts
}

// include answers with what the targets in the query give, each in brackets.
func include(w *backend.Response, r *backend.Request) {
	w.Start(exchange.Head{Status: 200, Length: -1, Type: "text/html; charset=utf-8"})
	for _, target := range strings.Split(r.Query(), ",") {
		a, err := r.Sub(r.Context, target)
		if err != nil {
			w.Write([]byte("[" + err.Error() + "]"))
			continue
		}
		w.Write([]byte("[" + strconv.Itoa(a.Status) + " " + a.Field("content-type") + " " + string(a.Body) + "]"))
	}
}

// Relay passes on a response of any size, and its status.
func TestRelay(t *testing.T) {
	t.Parallel()
	big := string(pattern(12 << 20))
	mounts := tree(t, map[string]string{"big": big})
	s := serveBackend(t, Config{}, newApp(false, demo), func(w *backend.Response, r *backend.Request) {
		if err := w.Relay(r, r.Query()); err != nil {
			w.Refuse(500, err.Error())
		}
	}, mounts...)
	got := s.talk(t, "GET /go?/s/big HTTP/1.0\r\n\r\n")
	if head, body, _ := strings.Cut(got, "\r\n\r\n"); body != big || !strings.Contains(head, "Content-Length: 12582912") {
		t.Errorf("%d bytes with %q", len(body), head)
	}
	if got := s.talk(t, "GET /go?/status/418 HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 418") || strings.Count(got, "Date:") != 1 {
		t.Errorf("%q", got)
	}
}

// While the server stops, requests that have begun get what they include.
func TestInnerRequestsWhileStopping(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	s := serveBackend(t, Config{}, newApp(false, demo), func(w *backend.Response, r *backend.Request) {
		r.Sub(r.Context, "/before")
		close(begun)
		<-goOn
		include(w, r)
	})
	c := s.dial(t)
	c.Write([]byte("GET /go?/one,/two HTTP/1.1\r\nHost: x\r\n\r\n"))
	<-begun
	done := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- s.Shutdown(ctx)
	}()
	eventually(t, "stopping", func() bool {
		draining := make(chan bool)
		s.loop.post(func() { draining <- s.loop.sites.Draining() })
		return <-draining
	})
	close(goOn)
	if got := string(readBody(t, c)); !strings.Contains(got, "GET /one?]") || !strings.Contains(got, "GET /two?]") {
		t.Errorf("%q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Behind the end of all connections a subrequest has an error, also while the loop still runs.
func TestInnerRequestsBehindTheEnd(t *testing.T) {
	t.Parallel()
	ending := serveBackend(t, Config{}, newApp(false, demo), include)
	ending.do(func() {
		ending.loop.drain()
		ending.loop.closeAll()
	})
	ended, err := New(settled(Config{}))
	if err != nil {
		t.Fatal(err)
	}
	ended.Close()
	for _, s := range []*Server{ending.Server, ended} {
		client := s.subrequests(exchange.Origin{})
		if a, err := client.Ask(t.Context(), "/x", nil); err == nil {
			t.Errorf("answered with %d", a.Status)
		}
		client.Close()
	}
}
