package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/route"
	"fapws/runtime/sites"
	"fapws/runtime/source/static"
)

// TestProgramForIndex: a folder whose index is what another mount runs is routed
// there by its name, also in a pipeline; where no mount runs it, it is not there.
func TestProgramForIndex(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		root := t.TempDir()
		for name, text := range map[string]string{"index.cgi": "secret", "a/index.html": "plain", "a/index.cgi": "secret", "b/c/index.cgi": "secret"} {
			if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		files, err := static.New(static.Options{Root: root, Index: []string{"index.html", "index.cgi"}, Programs: []string{"*.cgi"}})
		if err != nil {
			t.Fatal(err)
		}
		a := newApp(inline, func(c *call) { c.reply(200, c.Method+" "+c.Script+" "+c.Path+"?"+c.Query+";") })
		s := serve(t, Config{}, a, sites.Mount{Prefix: "/", Match: "*.cgi"}, sites.Mount{Prefix: "/", Source: static.NewSource(files, false)})
		got := s.talk(t, "GET /b/c/?x HTTP/1.1\r\nHost: a\r\n\r\nGET /a/ HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"+
			"GET /b/c HTTP/1.1\r\nHost: a\r\n\r\nGET /b/%63/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		at := 0
		for _, want := range []string{"GET /b/c/index.cgi ?x;", "plain", "GET /index.cgi ?;", "Location: /b/c/\r\n", "GET /b/c/index.cgi ?;"} {
			i := strings.Index(got[at:], want)
			if i < 0 {
				t.Fatalf("no %q behind %d in %s", want, at, got)
			}
			at += i
		}
		s = serve(t, Config{}, newApp(inline, demo), sites.Mount{Prefix: "/", Source: static.NewSource(files, false)})
		if got := s.talk(t, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 ") || strings.Contains(got, "secret") {
			t.Error(got)
		}
		// One that is rewritten to its directory does not loop endlessly.
		back, err := route.NewRewrite("/")
		if err != nil {
			t.Fatal(err)
		}
		for _, fall := range []bool{false, true} {
			s = serve(t, Config{}, newApp(inline, demo), sites.Mount{Prefix: "/index.cgi", Rewrite: back}, sites.Mount{Prefix: "/", Source: static.NewSource(files, fall)})
			if got := s.talk(t, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
				t.Error(got)
			}
		}
	})
}
