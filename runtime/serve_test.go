package runtime

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/source/static"
)

func mustPrefixes(list ...string) (out []netip.Prefix) {
	for _, one := range list {
		out = append(out, netip.MustParsePrefix(one))
	}
	return out
}

func mustRules(t testing.TB, o exchange.Rules) *exchange.Rules {
	t.Helper()
	r, err := exchange.NewRules(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tree(t testing.TB, contents map[string]string) []exchange.Mount {
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
	return []exchange.Mount{{Prefix: "/s/", Source: static.NewSource(files, false)}}
}
