package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/route"
	"fapws/runtime/sites"
	"fapws/runtime/source/static"
)

func mustRedirect(t testing.TB, prefix, target string, status int) sites.Mount {
	t.Helper()
	r, err := static.NewRedirect(target, status)
	if err != nil {
		t.Fatal(err)
	}
	return sites.Mount{Prefix: prefix, Source: r}
}

func mustRewrite(t testing.TB, prefix, target string) sites.Mount {
	t.Helper()
	r, err := route.NewRewrite(target)
	if err != nil {
		t.Fatal(err)
	}
	return sites.Mount{Prefix: prefix, Rewrite: r}
}

func field(response, name string) string {
	head, _, _ := strings.Cut(response, "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n") {
		if key, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	s := serveSites(t, Config{}, nil, sites.Site{Table: []sites.Mount{
		mustRedirect(t, "/path", "https://${host}${path}?${query}", 301),
		mustRedirect(t, "/rest/", "/new/$1?a=b&${query}", 308),
		mustRedirect(t, "/evil", "https://safe.example${rest}", 0),
		mustRedirect(t, "/scheme", "${scheme}://x.example:8080/", 307),
		mustRedirect(t, "/keep/", "/kept/$1#top", 302),
		mustRedirect(t, "/none/", "/bare/$1?", 302),
		mustRedirect(t, "/", "${path}", 303),
	}})
	for _, test := range []struct{ target, status, want string }{
		{"/path/a%20b?x=1", "301", "https://Host.example/path/a%20b?x=1"},
		{"/path", "301", "https://host.example/path"},
		{"/rest/a/b?c", "308", "/new/a/b?a=b&c"},
		{"/rest/", "308", "/new/?a=b"},
		{"/keep/x?a=b&c=%20", "302", "/kept/x?a=b&c=%20#top"},
		{"/keep/x", "302", "/kept/x#top"},
		{"/none/x?a=b", "302", "/bare/x"},
		{"/rest/%0d%0aSet-Cookie:x=y", "308", "/new/%0d%0aSet-Cookie:x=y?a=b"},
		{"/r%65st/a%2Fb", "308", "/new/a%2Fb?a=b"},
		{"/evil.example/", "302", "https://safe.example/.example/"},
		{"/evil/x", "302", "https://safe.example/x"},
		{"/evil@x", "302", "https://safe.example/@x"},
		{"/scheme", "307", "http://x.example:8080/"},
		{"//other.example/", "303", "/other.example/"},
		{"/\\other.example/", "303", "/%5Cother.example/"},
		{"///other", "303", "/other"},
		{"/<\"{}>", "303", "/%3C%22%7B%7D%3E"},
	} {
		got := s.talk(t, "GET "+test.target+" HTTP/1.1\r\nHost: Host.example:8000\r\nConnection: close\r\n\r\n")
		location := strings.ReplaceAll(field(got, "Location"), "https://Host", "https://host")
		if want := strings.ReplaceAll(test.want, "https://Host", "https://host"); !strings.HasPrefix(got, "HTTP/1.1 "+test.status) || location != want {
			t.Errorf("%s: %q, want %s %s", test.target, got, test.status, want)
		}
	}
}

func TestRedirectErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		target string
		status int
		want   string
	}{
		{"/a", 200, "200 is not a redirect status"},
		{"relative", 301, "neither a URL nor an absolute path"},
		{"${rest}?http://x", 301, "neither a URL nor an absolute path"},
		{"", 301, "neither"},
		{"/${nobody}", 301, "$ must be followed by one of {path}"},
		{"/${path", 301, "$ must be followed by one of"},
		{"/a b", 301, "percent-encoded"},
		{"/a\r\nX: y", 301, "percent-encoded"},
	} {
		if _, err := static.NewRedirect(test.target, test.status); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q %d: %v, want %s", test.target, test.status, err, test.want)
		}
	}
	for _, target := range []string{"relative", "http://x/", "/${host}", "/%00"} {
		if _, err := route.NewRewrite(target); err == nil {
			t.Errorf("rewriting to %q is no error", target)
		}
	}
}

// echo answers with the request as an application sees it.
func echo(c *call) {
	c.reply(200, fmt.Sprintf("%s script=%s path=%s query=%s body=%d mount=%d", c.Method, c.Script, c.Path, c.Query, len(c.Body), c.Mount))
}

func TestRewrites(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		loops := make([]sites.Mount, 11)
		for i := range loops {
			loops[i] = mustRewrite(t, "/round", "/round")
		}
		files := tree(t, map[string]string{"file.txt": "content"})
		table := append(loops,
			mustRewrite(t, "/old/", "/new/${rest}"),
			mustRewrite(t, "/query/", "/q?from=${rest}&${query}"),
			mustRewrite(t, "/file", "/s/file.txt"),
			files[0], sites.Mount{Prefix: "/new", Index: 1}, sites.Mount{Prefix: "/"})
		s := serveSites(t, Config{}, newApp(inline, echo), sites.Site{Table: table})
		for _, test := range []struct{ request, want string }{
			{"GET /old/a%20b?x=1", "GET script=/new path=/a b query=x=1 body=0 mount=1"},
			{"GET /query/a%3Fb?x=1", "GET script= path=/q query=from=a%3Fb&x=1 body=0 mount=0"},
			{"GET /query/", "GET script= path=/q query=from= body=0 mount=0"},
			{"GET /file", "\r\n\r\ncontent"},
			{"GET /round", "HTTP/1.1 500"},
			{"GET /other?y", "GET script= path=/other query=y body=0 mount=0"},
		} {
			if got := s.talk(t, test.request+" HTTP/1.0\r\n\r\n"); !strings.Contains(got, test.want) {
				t.Errorf("%s: %q, want %s", test.request, got, test.want)
			}
		}
		// A body that comes later does not make the request forget its way.
		c := s.dial(t)
		c.Write([]byte("POST /query/x?y HTTP/1.0\r\nContent-Length: 5\r\n\r\n"))
		time.Sleep(20 * time.Millisecond)
		c.Write([]byte("hello"))
		if got := string(readBody(t, c)); !strings.HasSuffix(got, "POST script= path=/q query=from=x&y body=5 mount=0") {
			t.Errorf("%q", got)
		}
		if !strings.Contains(s.log.String(), "is rewritten more than 10 times") {
			t.Errorf("log: %s", s.log)
		}
	})
}

func TestMatch(t *testing.T) {
	t.Parallel()
	files := tree(t, map[string]string{"a/style.css": "css", "a/style.css.txt": "text"})
	css := files[0]
	css.Match = "*.css"
	s := serveSites(t, Config{}, newApp(true, echo), sites.Site{Table: []sites.Mount{
		{Prefix: "/", Match: "*.php", Index: 1},
		{Prefix: "/g/", Match: "[ab]?.x", Index: 2},
		css,
		{Prefix: "/", Index: 3},
	}})
	for _, test := range []struct{ path, want string }{
		{"/index.php", "script=/index.php path= query= body=0 mount=1"},
		{"/a/index.php/extra/b.php", "script=/a/index.php path=/extra/b.php query= body=0 mount=1"},
		{"/a/index.php/", "script=/a/index.php path=/ query= body=0 mount=1"},
		{"/.php", "script=/.php path= query= body=0 mount=1"},
		{"/index.phpx", "mount=3"},
		{"/php", "mount=3"},
		{"/g/a1.x/y", "script=/g/a1.x path=/y query= body=0 mount=2"},
		{"/a1.x", "mount=3"},
		{"/s/a/style.css", "\r\n\r\ncss"},
		{"/s/a/style.css/x", "mount=3"},
	} {
		if got := s.talk(t, "GET "+test.path+" HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, test.want) {
			t.Errorf("%s: %q, want %s", test.path, got, test.want)
		}
	}
	for _, bad := range []string{"[", "a/b"} {
		srv, err := New(settled(Config{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Serve(nil, []sites.Site{{Table: []sites.Mount{{Match: bad}}}}, nil); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
		srv.Close()
	}
}

func TestFixedAnswers(t *testing.T) {
	t.Parallel()
	mount := func(prefix string, o static.FixedOptions) sites.Mount {
		f, err := static.NewFixed(o)
		if err != nil {
			t.Fatal(err)
		}
		return sites.Mount{Prefix: prefix, Source: f}
	}
	s := serveSites(t, Config{}, nil, sites.Site{Table: []sites.Mount{
		mount("/text", static.FixedOptions{Body: "hello", Fields: []exchange.Field{{Name: "X-A", Value: "b"}}}),
		mount("/html", static.FixedOptions{Status: 410, Body: "<p>gone", Type: "text/html"}),
		mount("/none", static.FixedOptions{Status: 204}),
		mount("/empty", static.FixedOptions{}),
		mount("/error", static.FixedOptions{Status: 403}),
	}})
	for _, test := range []struct{ request, want string }{
		{"GET /text", "HTTP/1.1 200 OK X-A: b Content-Type: text/plain; charset=utf-8 Content-Length: 5  hello"},
		{"POST /text", "HTTP/1.1 200 OK X-A: b Content-Type: text/plain; charset=utf-8 Content-Length: 5  hello"},
		{"HEAD /text", "HTTP/1.1 200 OK X-A: b Content-Type: text/plain; charset=utf-8 Content-Length: 5  "},
		{"GET /html", "HTTP/1.1 410 Gone Content-Type: text/html Content-Length: 7  <p>gone"},
		{"GET /none", "HTTP/1.1 204 No Content  "},
		{"GET /empty", "HTTP/1.1 200 OK Content-Type: text/plain; charset=utf-8 Content-Length: 0  "},
		{"GET /error", "HTTP/1.1 403 Forbidden Content-Type: text/plain; charset=utf-8 Content-Length: 10  Forbidden\n"},
	} {
		if got := plainly(s.talk(t, test.request+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); got != test.want {
			t.Errorf("%s: %q, want %q", test.request, got, test.want)
		}
	}
}

// A mount with Fall lets others answer for missing files.
func TestFilesFirst(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		one, two := t.TempDir(), t.TempDir()
		write := func(dir, name, text string) {
			t.Helper()
			os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write(one, "a.txt", "first")
		write(two, "a.txt", "second")
		write(two, "b.txt", "second")
		write(one, "dir/x", "x")
		var table []sites.Mount
		for _, dir := range []string{one, two} {
			files, err := static.New(static.Options{Root: dir, MaxAge: -1, Index: []string{"index.html"}})
			if err != nil {
				t.Fatal(err)
			}
			table = append(table, sites.Mount{Prefix: "/", Source: static.NewSource(files, true)})
		}
		s := serveSites(t, Config{}, newApp(inline, echo), sites.Site{Table: append(table, sites.Mount{Prefix: "/"})})
		check := func(request, want string) {
			t.Helper()
			if got := s.talk(t, request); !strings.Contains(got, want) {
				t.Errorf("%q: %q, want %q", request, got, want)
			}
		}
		for range 3 { // from disk, from memory
			check("GET /a.txt HTTP/1.0\r\n\r\n", "\r\n\r\nfirst")
			check("GET /b.txt HTTP/1.0\r\n\r\n", "\r\n\r\nsecond")
			check("GET /page%20x?y=1 HTTP/1.0\r\n\r\n", "GET script= path=/page x query=y=1 body=0")
			check("GET /dir/ HTTP/1.0\r\n\r\n", "path=/dir/ ")
			check("GET /dir HTTP/1.0\r\n\r\n", "HTTP/1.1 301")
			check("POST /a.txt HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", "POST script= path=/a.txt query= body=3")
			check("GET /../../etc/passwd HTTP/1.0\r\n\r\n", "400 Bad Request")
			check("GET /p HTTP/1.1\r\nHost: x\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: x\r\n\r\nGET /q HTTP/1.1\r\nHost: x\r\n\r\n"+
				"POST /r HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxyGET /s HTTP/1.0\r\n\r\n", "path=/s")
			time.Sleep(time.Duration(tickLength))
		}
		served := func() (n int64) {
			s.do(func() { n = s.loop.sites.Served() })
			return n
		}
		before := served()
		check("GET /new1 HTTP/1.0\r\n\r\n", "path=/new1")
		if n := served() - before; n != 1 {
			t.Errorf("one request counts as %d", n)
		}
		// A file that comes is noticed.
		write(one, "new1", "there now")
		eventually(t, "the new file", func() bool {
			return strings.HasSuffix(s.talk(t, "GET /new1 HTTP/1.0\r\n\r\n"), "there now")
		})
		// Responses stay in their order, each once.
		got := s.talk(t, strings.Repeat("GET /none1 HTTP/1.1\r\nHost: x\r\n\r\nGET /none2 HTTP/1.1\r\nHost: x\r\n\r\n", 20)+"GET /b.txt HTTP/1.0\r\n\r\n")
		if strings.Count(got, "path=/none1") != 20 || strings.Count(got, "path=/none2") != 20 || !strings.HasSuffix(got, "second") {
			t.Errorf("pipelined: %q", got)
		}
	})
}
