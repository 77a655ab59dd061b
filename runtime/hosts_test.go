package runtime

import (
	"strings"
	"testing"

	"fapws/runtime/conn"
	"fapws/runtime/sites"
	"fapws/runtime/source/app"
	"fapws/runtime/source/static"
)

// serveSites starts a server with sites; a answers where they name nothing else.
func serveSites(t testing.TB, cfg Config, a app.Handler, sites ...sites.Site) *testServer {
	t.Helper()
	ts := &testServer{log: &logRecorder{}}
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
	if err := ts.Serve([]*conn.Listener{ln}, sites, a); err != nil {
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

// fixedMount is a mount that says a word.
func fixedMount(t testing.TB, prefix, text string) sites.Mount {
	t.Helper()
	f, err := static.NewFixed(static.FixedOptions{Body: text})
	if err != nil {
		t.Fatal(err)
	}
	return sites.Mount{Prefix: prefix, Source: f}
}

func TestVirtualHosts(t *testing.T) {
	t.Parallel()
	site := func(text string, names ...string) sites.Site {
		return sites.Site{Names: names, Table: []sites.Mount{fixedMount(t, "/", text)}}
	}
	for _, strict := range []bool{false, true} {
		unknown := "HTTP/1.1 200"
		if strict {
			unknown = "HTTP/1.1 421"
		}
		s := serveSites(t, Config{RefuseUnknownHosts: strict, Proxies: mustPrefixes("127.0.0.0/8")}, nil,
			site("one", "one.example"), site("two", "two.example", "*.two.example"))
		for _, test := range []struct{ request, want string }{
			{"GET / HTTP/1.1\r\nHost: one.example\r\n", "\r\n\r\none"},
			{"GET / HTTP/1.1\r\nHost: TWO.example:80\r\n", "\r\n\r\ntwo"},
			{"GET / HTTP/1.1\r\nHost: a.b.two.example.\r\n", "\r\n\r\ntwo"},
			{"GET http://two.example/ HTTP/1.1\r\nHost: one.example\r\n", "\r\n\r\ntwo"},
			{"GET / HTTP/1.1\r\nHost: one.example\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: two.example\r\n", "\r\n\r\ntwo"},
			{"GET / HTTP/1.0\r\n", "\r\n\r\none"},
			{"GET / HTTP/1.1\r\nHost: other.example\r\n", unknown},
			{"OPTIONS * HTTP/1.1\r\nHost: other.example\r\n", map[bool]string{false: "HTTP/1.1 204", true: unknown}[strict]},
		} {
			if got := s.talk(t, test.request+"Connection: close\r\n\r\n"); !strings.Contains(got, test.want) {
				t.Errorf("strict %v: %q: %q, want %q", strict, test.request, got, test.want)
			}
		}
	}
}
