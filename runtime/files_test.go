package runtime

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
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

func TestStaticFiles(t *testing.T) {
	t.Parallel()
	large := string(pattern(3 << 20))
	mounts := tree(t, map[string]string{"small.txt": "small", "cached.bin": large[:60000], "large.bin": large, "index.html": "<p>index"})
	modes(t, func(t *testing.T, inline bool) {
		a := newApp(inline, demo)
		s := serve(t, Config{}, a, mounts...)
		for range 2 { // from disk, then from memory
			for _, test := range []struct {
				method, target, fields string
				status                 int
				body                   string
			}{
				{"GET", "/s/small.txt", "", 200, "small"},
				{"HEAD", "/s/small.txt", "", 200, ""},
				{"GET", "/s/%73mall.txt", "", 200, "small"},
				{"GET", "/s/", "", 200, "<p>index"},
				{"GET", "/s/cached.bin", "", 200, large[:60000]},
				{"GET", "/s/large.bin", "", 200, large},
				{"HEAD", "/s/large.bin", "", 200, ""},
				{"GET", "/s/large.bin", "Range: bytes=1000000-1000009\r\n", 206, large[1000000:1000010]},
				{"GET", "/s/large.bin", "Range: bytes=9999999-\r\n", 416, "?"},
				{"GET", "/s/small.txt", "If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT\r\n", 304, ""},
				{"GET", "/s/missing", "", 404, "?"},
				{"GET", "/s/../../etc/passwd", "", 400, "?"},
				{"GET", "/s/%2e%2e/%2e%2e/etc/passwd", "", 400, "?"},
				{"POST", "/s/small.txt", "", 405, "?"},
				{"GET", "/app", "", 200, "GET ?"},
			} {
				c := s.dial(t)
				request := test.method + " " + test.target + " HTTP/1.1\r\nHost: x\r\n" + test.fields + "\r\n"
				// The next request behind it shows that the response has the length it says.
				io.WriteString(c, request+"GET /app/end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				all, err := io.ReadAll(c)
				c.Close()
				if err != nil {
					t.Fatalf("%s %s: %v", test.method, test.target, err)
				}
				head, rest, _ := strings.Cut(string(all), "\r\n\r\n")
				body, end, found := strings.Cut(rest, "HTTP/1.1 200 OK\r\n")
				if !found || !strings.HasSuffix(end, "GET /end?") {
					t.Errorf("%s %s: followed by %.100q", test.method, test.target, end)
				}
				if got := head[9:12]; got != strconv.Itoa(test.status) || test.body != "?" && body != test.body {
					t.Errorf("%s %s: got %s %.60q, want %d %.60q", test.method, test.target, got, body, test.status, test.body)
				}
				if strings.Contains(string(all), "root:") {
					t.Fatal("the password file")
				}
			}
		}
	})
}

// Many responses from memory, sent ahead, keep their order.
func TestStaticPipelined(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo), tree(t, map[string]string{"a": "A", "b": strings.Repeat("B", 30000)})...)
	c := s.dial(t)
	var want bytes.Buffer
	for i := range 100 {
		io.WriteString(c, "GET /s/"+string("ab"[i%2])+" HTTP/1.1\r\nHost: x\r\n\r\n")
		want.WriteString([]string{"A", strings.Repeat("B", 30000)}[i%2])
	}
	var got bytes.Buffer
	for range 100 {
		got.Write(readBody(t, c))
	}
	if got.String() != want.String() {
		t.Error("wrong bytes")
	}
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
