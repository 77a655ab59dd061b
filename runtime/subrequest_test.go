package runtime

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
)

// serveBackend starts a server with an application below / and a responder
// below /go, in a pool of at most 32.
func serveBackend(t testing.TB, cfg Config, a *testApp, f backend.Func, mounts ...sites.Mount) *testServer {
	t.Helper()
	ts := &testServer{log: &logRecorder{}}
	pool := backend.New(32, func(line string) { ts.log.add(logfile.Error, line) })
	all := append([]sites.Mount{{Prefix: "/go", Handler: pool, Index: pool.Add(f)}}, mounts...)
	all = append(all, sites.Mount{Prefix: "/"})
	if cfg.Log == nil {
		cfg.Log = ts.log.add
	}
	var err error
	if ts.Server, err = New(patient(cfg)); err != nil {
		t.Fatal(err)
	}
	ln, err := conn.Listen("127.0.0.1:0", conn.DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.Serve([]*conn.Listener{ln}, []sites.Site{{Table: all}}, a); err != nil {
		t.Fatal(err)
	}
	ts.addr = ln.Addr().String()
	t.Cleanup(func() {
		ts.Close()
		if text := ts.log.String(); strings.Contains(text, "bug:") {
			t.Error(text)
		}
	})
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

func TestInnerRequests(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		a := newApp(inline, func(c *call) {
			switch {
			case c.Path == "/peer" || c.Path == "peer":
				c.reply(200, c.Peer.Addr+" "+c.Method+" "+c.Query)
			default:
				demo(c)
			}
		})
		mounts := tree(t, map[string]string{"hello.txt": "hello", "big": string(pattern(300000))})
		s := serveBackend(t, Config{}, a, include, mounts...)
		get := func(query string) string {
			got := s.talk(t, "GET /go?"+query+" HTTP/1.0\r\nHost: a.example\r\nRange: bytes=0-1\r\n\r\n")
			_, body, _ := strings.Cut(got, "\r\n\r\n")
			return body
		}
		for _, test := range []struct{ query, want string }{
			{"/s/hello.txt", "[200 text/plain; charset=utf-8 hello]"},
			{"/peer?x=1", "[200 text/html; charset=utf-8 127.0.0.1 GET x=1]"},
			{"/s/none,/s/hello.txt", "[404 text/plain; charset=utf-8 404 Not Found\n][200 text/plain; charset=utf-8 hello]"},
			{"/stream/3,/status/500,/status/204,/status/999", "[200  0\n1\n2\n][500 text/html; charset=utf-8 ][204  ][999 text/html; charset=utf-8 ]"},
			{"relative", "[not an absolute path of a URL]"},
		} {
			if got := get(test.query); got != test.want {
				t.Errorf("%s: %q, want %q", test.query, got, test.want)
			}
		}
		if got := get("/s/big"); !strings.HasSuffix(got, string(pattern(300000))+"]") {
			t.Errorf("a large file has %d bytes", len(got))
		}
		// A page that includes itself ends by itself.
		if got := get("/go?" + strings.Repeat("/go?", 20)); !strings.Contains(got, "too deep") {
			t.Errorf("endless inclusion: %q", got)
		}
		eventually(t, "the inner connections have gone", func() bool { return s.loop.live.Load() == 0 })
	})
}

// A subrequest that is not waited for any more is cancelled, and those of a
// server that is full of connections are served all the same.
func TestInnerRequestsEnd(t *testing.T) {
	t.Parallel()
	begun, gone := make(chan struct{}), make(chan struct{})
	a := newApp(false, func(c *call) {
		close(begun)
		<-c.gone
		close(gone)
		c.reply(200, "too late")
	})
	s := serveBackend(t, Config{Accept: conn.AcceptConfig{MaxClients: 1}}, a, func(w *backend.Response, r *backend.Request) {
		ctx, cancel := context.WithCancel(r.Context)
		defer cancel()
		go func() {
			<-begun
			cancel()
		}()
		_, err := r.Sub(ctx, "/never")
		w.Start(exchange.Head{Status: 200, Length: -1})
		if errors.Is(err, context.Canceled) {
			w.Write([]byte("in time"))
		}
	})
	if got := s.talk(t, "GET /go HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "in time") {
		t.Errorf("%q", got)
	}
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the application was not told")
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

// Subrequests do not count as clients: they have no line in the access log.
func TestInnerRequestsAreNotLogged(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/log"
	log, closeLog := openLog(t, path, "timed")
	s := serveBackend(t, Config{Sites: sites.Config{AccessLog: log}}, newApp(true, demo), include)
	s.talk(t, "GET /go?/status/404,/x HTTP/1.0\r\n\r\n")
	closeLog()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(text); strings.Count(text, "\n") != 1 || !strings.Contains(text, "/go?") {
		t.Errorf("%q", text)
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
