package runtime

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"fapws/runtime/checktest"
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
	return checktest.Try(exchange.NewRules(o)).Must(t)
}

func tree(t testing.TB, contents map[string]string) []exchange.Mount {
	t.Helper()
	dir := t.TempDir()
	for name, text := range contents {
		checktest.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		checktest.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	files := checktest.Try(static.New(static.Options{Root: dir, Index: []string{"index.html"}})).Must(t)
	t.Cleanup(func() { files.Close() })
	return []exchange.Mount{{Prefix: "/s/", Source: static.NewSource(files, false)}}
}
