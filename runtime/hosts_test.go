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
