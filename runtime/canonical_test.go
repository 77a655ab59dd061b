package runtime

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"path"
	"strings"
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"

	"fapws/runtime/source/static"
)

// guarded is a site with a mount of every kind before one for everything. What each of them
// answers has a field X-Mount with its number.
func guarded(t testing.TB) *testServer {
	files := tree(t, map[string]string{"priv/x": "x", "x.inc": "x", "priv/x.inc": "x", "index.html": "x"})[0].Source.(*static.Source).Files()
	hidden, err := static.NewFixed(static.FixedOptions{Status: 410})
	if err != nil {
		t.Fatal(err)
	}
	table := []sites.Mount{
		{Prefix: "/priv/", Source: static.NewSource(files, false)},
		{Prefix: "/", Match: "*.inc", Source: hidden},
		{Prefix: "/app/priv", Resolved: true},
		{Prefix: "/app", Index: 1},
		mustRedirect(t, "/away/", "/elsewhere/$1", 302),
		{Prefix: "/", Within: "/within", Match: "*.p"},
		mustRewrite(t, "/to/", "/new/$1"),
		{Prefix: "/new/priv", Source: hidden},
		{Prefix: "/", Source: static.NewSource(files, true)},
		{Prefix: "/", Resolved: true},
	}
	for i := range table {
		o := sites.RuleOptions{Set: []exchange.Field{{Name: "X-Mount", Value: fmt.Sprint(i)}}}
		if i == 2 {
			o.Deny = mustPrefixes("0.0.0.0/0")
		}
		table[i].Rules = mustRules(t, o)
	}
	return serveSites(t, Config{}, newApp(true, echo), sites.Site{Table: table})
}

// mount asks for a target and returns the mount that has answered, "" for 400.
func (s *testServer) mount(t testing.TB, target string) string {
	got := s.talk(t, "GET "+target+" HTTP/1.0\r\n\r\n")
	if strings.HasPrefix(got, "HTTP/1.1 400 ") {
		return ""
	}
	n := field(got, "X-Mount")
	if n == "" {
		t.Errorf("%s: no mount has answered: %q", target, got)
	}
	return n
}

// canonicalTarget is the target with the canonical spelling of the path of another one, by
// the standard library.
func canonicalTarget(raw string) (string, bool) {
	decoded, err := url.PathUnescape(raw)
	if err != nil || !strings.HasPrefix(decoded, "/") {
		return "", false
	}
	clean := path.Clean(decoded)
	last := decoded[strings.LastIndexByte(decoded, '/'):]
	if clean != "/" && (last == "/" || last == "/." || last == "/..") {
		clean += "/"
	}
	return (&url.URL{Path: clean}).EscapedPath(), true
}

// sameMount holds a spelling of a path to its canonical one.
func (s *testServer) sameMount(t testing.TB, raw string) {
	got := s.mount(t, raw)
	if got == "" {
		return
	}
	target, ok := canonicalTarget(raw)
	if !ok {
		t.Errorf("%s: mount %s answers, and there is no canonical spelling", raw, got)
	} else if want := s.mount(t, target); got != want {
		t.Errorf("%s: mount %s, and of %s it is %s", raw, got, target, want)
	}
}

// No spelling of a path reaches another mount than its canonical spelling does.
func TestSpellings(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	for target, want := range map[string]string{
		"/priv/x": "0", "//priv/x": "0", "///priv//x": "0", "/./priv/x": "0", "/public/../priv/x": "0", "/%2e/priv/x": "0", "/%2fpriv/x": "0", "/%70riv/x": "0",
		"/public/%2e%2e/priv/x": "0", "/priv%2fx": "0", "http://h//priv/x": "0", "http:///priv/x": "", "/priv/x/.": "0", "/priv/.": "0", "/priv/": "0",
		"/x.inc": "1", "//x.inc": "1", "/public/..//x.inc": "1", "/%78.inc": "1", "/x.inc?/priv/": "1",
		"/app/priv": "2", "/app//priv": "2", "//app/priv/": "2", "/app/x/../priv": "2", "/app/x": "3", "/app/priv/../x": "3",
		"/away//x": "4", "//away/x": "4",
		"/within/a.p/x": "5", "//within//a.p": "5",
		"/to/priv": "7", "/to//priv": "7", "//to/priv": "7", "/to/x/../priv": "7", "/to/%70riv": "7",
		"/index.html": "8", "//index.html": "8",
		"/other": "9", "//other": "9", "/other/../..": "", "/../x": "", "/x//..": "", `/x\..\priv/x`: "", "/x/..;/priv/x": "",
		"/priv;x/x": "9", "/%252fpriv/x": "9", `/priv\x`: "9",
	} {
		if got := s.mount(t, target); got != want {
			t.Errorf("%s: mount %q, want %q", target, got, want)
		}
	}
	segments := []string{"", ".", "..", "priv", "%2e", "%2E%2e", "x", "x.inc", "%70riv", "app", "to", "new", "away", "within", "a.p"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var b strings.Builder
		for range 1 + r.IntN(5) {
			b.WriteString([]string{"/", "/", "/", "%2f", "//"}[r.IntN(5)])
			b.WriteString(segments[r.IntN(len(segments))])
		}
		if raw := b.String(); raw[0] == '/' {
			s.sameMount(t, raw)
		}
	}
}

func FuzzSpellings(f *testing.F) {
	for _, s := range []string{"/priv/x", "/%2fpriv/x", "/./priv/../x.inc", "/app//priv", "/to/a/%2e%2e/priv", `/a\..\priv`, "/a/..;/priv"} {
		f.Add(s)
	}
	f.Add(strings.Repeat("'", 3000))
	s := guarded(f)
	f.Fuzz(func(t *testing.T, raw string) {
		raw = "/" + raw
		if len(raw) > 2000 { // with each byte encoded it would exceed the limit of a request line
			return
		}
		if strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '?' }) {
			return
		}
		s.sameMount(t, raw)
	})
}

// Handlers get the canonical path, applications their part of the resolved one, where what
// they are mounted at is spelled plainly.
func TestPathOfHandlers(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		s := serveSites(t, Config{Sites: sites.Config{RootPath: "/root"}}, newApp(inline, echo), sites.Site{Table: []sites.Mount{
			mustRewrite(t, "/to/", "/app/$1"),
			{Prefix: "/program", Index: 1}, {Prefix: "/app", Resolved: true, Index: 2}, {Prefix: "/", Match: "*.p", Resolved: true, Index: 3}, {Prefix: "", Resolved: true, Index: 4},
		}})
		for _, c := range []struct{ target, script, path, mount string }{
			{"/program//x/./y", "/root/program", "/x/y", "1"},
			{"/app//x/./y", "/root/app", "//x/y", "2"},
			{"/app/x/../y%2f%2fz", "/root/app", "/y//z", "2"},
			{"//app//x", "/root/app", "/x", "2"}, // not spelled plainly
			{"/root/app//x", "/root/app", "//x", "2"},
			{"/root//app//x", "/root/app", "/x", "2"},
			{"/to//x", "/root/app", "/x", "2"},
			{"/a/b.p//x//", "/root/a/b.p", "//x//", "3"},
			{"/a//b.p//x", "/root/a/b.p", "/x", "3"},
			{"/go/http://h//x/../y", "/root", "/go/http://h//y", "4"},
			{"//", "/root", "//", "4"},
			{"/root", "/root", "", "4"},
		} {
			want := fmt.Sprintf("script=%s path=%s query=q=1", c.script, c.path)
			for _, request := range []string{"GET %s?q=1 HTTP/1.0\r\n\r\n", "POST %s?q=1 HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"} {
				if got := s.talk(t, fmt.Sprintf(request, c.target)); !strings.Contains(got, want) || !strings.HasSuffix(got, "mount="+c.mount) {
					t.Errorf("%s: %q, want %s, mount %s", c.target, got, want, c.mount)
				}
			}
			// The body comes later than the head.
			conn := s.dial(t)
			fmt.Fprintf(conn, "POST %s?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", c.target)
			r := bufio.NewReader(conn)
			if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
				t.Errorf("%s: %q %v, want 100", c.target, line, err)
			}
			fmt.Fprint(conn, "abc")
			if got, err := io.ReadAll(r); err != nil || !strings.Contains(string(got), want) {
				t.Errorf("%s, body later: %q %v, want %s", c.target, got, err, want)
			}
			conn.Close()
		}
	})
}
