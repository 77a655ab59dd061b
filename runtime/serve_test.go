package runtime

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
	"fapws/runtime/sites"
	"fapws/runtime/source/app"
	"fapws/runtime/source/static"
)

// bodies splits a run of responses with Content-Length into status codes and
// bodies: "200:hello 404:Not Found\n".
func bodies(t *testing.T, text string) string {
	t.Helper()
	var out []string
	for text != "" {
		head, rest, ok := strings.Cut(text, "\r\n\r\n")
		if !ok {
			t.Fatalf("no head in %q", text)
		}
		n := 0
		for _, line := range strings.Split(head, "\r\n") {
			if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				for _, d := range v {
					n = n*10 + int(d-'0')
				}
			}
		}
		if n > len(rest) {
			t.Fatalf("%d bytes promised, %q sent", n, rest)
		}
		out = append(out, head[9:12]+":"+rest[:n])
		text = rest[n:]
	}
	return strings.Join(out, " ")
}

// serveSites is serve for several sites.
func serveSites(t testing.TB, cfg Config, a app.Handler, sites ...sites.Site) *testServer {
	t.Helper()
	return start(t, patient(cfg), a, sites...)
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

func mustRewrite(t testing.TB, prefix, target string) sites.Mount {
	t.Helper()
	r, err := route.NewRewrite(target)
	if err != nil {
		t.Fatal(err)
	}
	return sites.Mount{Prefix: prefix, Rewrite: r}
}

func mustPrefixes(list ...string) (out []netip.Prefix) {
	for _, one := range list {
		out = append(out, netip.MustParsePrefix(one))
	}
	return out
}

func mustRules(t testing.TB, o sites.RuleOptions) *sites.Rules {
	t.Helper()
	r, err := sites.NewRules(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tree makes files with the given contents and serves them below /s/.
func tree(t testing.TB, contents map[string]string) []sites.Mount {
	t.Helper()
	dir := t.TempDir()
	for name, text := range contents {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := static.New(static.Options{Root: dir, Index: []string{"index.html"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	return []sites.Mount{{Prefix: "/s/", Source: static.NewSource(files, false)}, {Prefix: "/app"}}
}

// optional returns s, a static.Source, as one that declines.
func optional(s exchange.Source) exchange.Source {
	return static.NewSource(s.(*static.Source).Files(), true)
}

// openLog opens an access log, which close writes to its end.
func openLog(t *testing.T, path, format string) (log *logfile.AccessLog, close func()) {
	t.Helper()
	f, err := logfile.ParseFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	file, err := logfile.Open(logfile.Options{Path: path, Flush: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	close = func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { file.Close() })
	return logfile.NewAccessLog(file, f), close
}
