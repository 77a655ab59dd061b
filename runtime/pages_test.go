package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/sites"
	"fapws/runtime/source/static"
)

// plainly is a response without the fields that all have.
func plainly(response string) string {
	head, body, _ := strings.Cut(response, "\r\n\r\n")
	var out []string
	for _, line := range strings.Split(head, "\r\n") {
		if !strings.HasPrefix(line, "Date:") && !strings.HasPrefix(line, "Server:") && !strings.HasPrefix(line, "Connection:") {
			out = append(out, line)
		}
	}
	return strings.Join(out, " ") + "  " + body
}

func TestErrorPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := strings.Repeat("large ", 20000)
	for name, text := range map[string]string{"404.html": "<p>not here", "413.txt": large, "400.html": "bad", "500.html": "failed", "exists": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := static.New(static.Options{Root: dir, MaxAge: 100})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := static.NewPages(files, map[int]string{
		404: "/404.html", 413: "/413.txt", 400: "/400.html", 500: "/500.html", 503: "/missing.html", 405: "https://x.example/405",
	})
	if err != nil {
		t.Fatal(err)
	}
	fails, err := static.NewFixed(static.FixedOptions{Status: 500})
	if err != nil {
		t.Fatal(err)
	}
	busy, err := static.NewFixed(static.FixedOptions{Status: 503})
	if err != nil {
		t.Fatal(err)
	}
	s := serveSites(t, Config{Sites: sites.Config{MaxBodySize: 10}}, newApp(true, demo), sites.Site{Pages: pages, Table: []sites.Mount{
		{Prefix: "/files", Source: static.NewSource(files, false)}, {Prefix: "/app"}, {Prefix: "/500", Source: fails}, {Prefix: "/503", Source: busy},
	}})
	for range 2 {
		for _, test := range []struct{ request, status, kind, want string }{
			{"GET /none HTTP/1.0\r\n\r\n", "404", "text/html; charset=utf-8", "<p>not here"},
			{"GET /files/none HTTP/1.0\r\n\r\n", "404", "text/html; charset=utf-8", "<p>not here"},
			{"GET /files/none HTTP/1.0\r\nIf-None-Match: *\r\nRange: bytes=0-0\r\n\r\n", "404", "text/html; charset=utf-8", "<p>not here"},
			{"HEAD /none HTTP/1.0\r\n\r\n", "404", "text/html; charset=utf-8", ""},
			{"nonsense\r\n\r\n", "400", "text/html; charset=utf-8", "bad"},
			{"POST /app HTTP/1.0\r\nContent-Length: 11\r\n\r\n01234567890", "413", "text/plain; charset=utf-8", large},
			{"GET /500 HTTP/1.0\r\n\r\n", "500", "text/html; charset=utf-8", "failed"},
			{"GET /503 HTTP/1.0\r\n\r\n", "503", "text/plain; charset=utf-8", "Service Unavailable\n"},
			{"POST /files/exists HTTP/1.0\r\n\r\n", "302", "text/plain; charset=utf-8", "Found\n"},
			{"GET /app HTTP/1.0\r\n\r\n", "200", "text/html; charset=utf-8", "GET /?"},
		} {
			got := s.talk(t, test.request)
			_, body, _ := strings.Cut(got, "\r\n\r\n")
			if test.request[:8] == "GET /app" {
				test.want = body
			}
			if !strings.HasPrefix(got, "HTTP/1.1 "+test.status) || field(got, "Content-Type") != test.kind || body != test.want ||
				field(got, "ETag")+field(got, "Cache-Control")+field(got, "Last-Modified") != "" || strings.Count(got, "nosniff") > 1 {
				t.Errorf("%q: %.300q, want %s %s %.100q", test.request, got, test.status, test.kind, test.want)
			}
			if strings.HasPrefix(test.request, "HEAD") && field(got, "Content-Length") != "11" {
				t.Errorf("HEAD: %q", got)
			}
		}
	}
	if got := s.talk(t, "POST /files/exists HTTP/1.0\r\n\r\n"); field(got, "Location") != "https://x.example/405" {
		t.Errorf("%q", got)
	}
	// It is noticed that a page changes.
	if err := os.WriteFile(filepath.Join(dir, "404.html"), []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new page", func() bool { return strings.HasSuffix(s.talk(t, "GET /none HTTP/1.0\r\n\r\n"), "another") })
	// Browsers get HTML where the site has no page.
	got := s.talk(t, "GET /503 HTTP/1.0\r\nAccept: text/html, */*\r\n\r\n")
	if field(got, "Content-Type") != "text/html; charset=utf-8" || !strings.Contains(got, "<h1>503 Service Unavailable</h1>") {
		t.Errorf("%q", got)
	}
}

func TestPageErrors(t *testing.T) {
	t.Parallel()
	for want, page := range map[string]map[int]string{
		"200 is not the status of an error":         {200: "/a"},
		"requires a directory":                      {404: "/a"},
		"neither an absolute path nor a URL":        {404: "a.html"},
		"the value of Location has a control chara": {404: "http://x/\r\n"},
	} {
		if _, err := static.NewPages(nil, page); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", page, err, want)
		}
	}
}
