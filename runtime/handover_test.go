package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/runtime/exchange"
)

// A handler lets files answer, with additional fields.
func TestHandedOver(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.txt"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := fmt.Sprintf(`{"root": %q, "index": ["a.txt"], "listing": false, "max_age": 60, "dotfiles": false}`, root)
	const plain = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
	const own = "X-Own: 1\r\nCACHE-CONTROL: private\r\nContent-Type: image/png\r\nVary: Cookie\r\nSet-Cookie: a=b\r\n"
	for _, test := range []struct {
		name          string
		options, path string
		request       string
		status, body  string
		with, without []string
	}{
		{"file", good, "/a.txt", plain, "200", "content",
			[]string{"X-Own: 1", "CACHE-CONTROL: private", "Vary: Cookie", "Set-Cookie: a=b", "Content-Type: text/plain", "Etag: "},
			[]string{"max-age", "image/png"}},
		{"index", good, "/", plain, "200", "content", nil, nil},
		{"no such file", good, "/b", plain, "404", "*", []string{"X-Own: 1"}, nil},
		{"outside", good, "/../a.txt", plain, "404", "*", nil, nil},
		{"range", good, "/a.txt", "GET /x HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\n\r\n", "206", "on", []string{"Content-Range: bytes 1-2/7"}, nil},
		{"another method", good, "/a.txt", "POST /x HTTP/1.1\r\nHost: x\r\n\r\n", "405", "*", []string{"Allow: GET, HEAD"}, nil},
		{"no root", `{"root": "/nonexistent/root"}`, "/a.txt", plain, "500", "*", []string{"Content-Type: text/plain"}, []string{"nonexistent"}},
		{"no options", `{`, "/a.txt", plain, "500", "*", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			modes(t, func(t *testing.T, inline bool) {
				a := newApp(inline, func(c *call) {
					if c.Path == "/end" {
						c.reply(200, "end")
						return
					}
					c.part(exchange.Part{Last: true, File: -1, Head: exchange.Head{Status: 200, Length: -1, Fields: []byte(own),
						Instead: exchange.StaticFiles, Static: []byte(test.options), StaticPath: []byte(test.path), Request: []byte(test.request)}})
				})
				s := serve(t, Config{}, a)
				// Twice: the second time the root is open. The last one shows that the connection goes on.
				text := s.talk(t, test.request+test.request+"GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				head, rest, _ := strings.Cut(text, "\r\n\r\n")
				got := regexp.MustCompile(`\d{3}:\S*`).FindAllString(bodies(t, text), -1)
				if len(got) < 3 || got[len(got)-1] != "200:end" {
					t.Fatalf("%q", text)
				}
				for i := range 2 {
					if want := test.status + ":" + test.body; test.body != "*" && got[i] != want {
						t.Errorf("got %q, want %q", got[i], want)
					}
				}
				if head[9:12] != test.status {
					t.Errorf("status %s, want %s: %.200s", head[9:12], test.status, rest)
				}
				for _, line := range test.with {
					if !strings.Contains(strings.ToLower(head), strings.ToLower(line)) {
						t.Errorf("no %q in %q", line, head)
					}
				}
				for _, line := range test.without {
					if strings.Contains(text, line) {
						t.Errorf("%q in %q", line, text)
					}
				}
				eventually(t, "all released", a.idle)
			})
		})
	}
}
