package runtime

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/source/static"
)

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

// A file that shrinks while it is sent breaks the connection.
func TestFileShrinks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := static.New(static.Options{Root: filepath.Dir(path)})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	s := serve(t, Config{}, newApp(true, demo), sites.Mount{Prefix: "/", Source: static.NewSource(files, false)})
	c := slowly(t, s)
	io.WriteString(c, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 15<<20); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil || n > 15<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	eventually(t, "logged", func() bool { return strings.Contains(s.log.String(), "shorter than announced") })
}
