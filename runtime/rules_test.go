package runtime

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
)

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

func TestRules(t *testing.T) {
	t.Parallel()
	files := tree(t, map[string]string{"file.txt": "content"})
	files[0].Rules = mustRules(t, sites.RuleOptions{Remove: []string{"ETag", "server"}, Set: []exchange.Field{{Name: "X-Site", Value: "files"}, {Name: "Content-Type", Value: "text/x"}}})
	app := newApp(false, func(c *call) {
		if c.Script == "/slow" {
			<-c.gone
		}
		c.reply(200, "app "+c.Body)
	})
	s := serveSites(t, Config{Sites: sites.Config{MaxBodySize: 100, Proxies: mustPrefixes("127.0.0.0/8")}}, app, sites.Site{
		Rules: mustRules(t, sites.RuleOptions{Set: []exchange.Field{{Name: "X-Site", Value: "site"}}, Add: []exchange.Field{{Name: "X-More", Value: "1"}, {Name: "X-More", Value: "2"}}}),
		Table: []sites.Mount{
			files[0],
			{Prefix: "/lan", Rules: mustRules(t, sites.RuleOptions{Allow: mustPrefixes("192.0.2.0/24", "2001:db8::/32"), Deny: mustPrefixes("0.0.0.0/0", "::/0")})},
			{Prefix: "/some", Rules: mustRules(t, sites.RuleOptions{Allow: mustPrefixes("192.0.2.7/32"), Deny: mustPrefixes("192.0.2.0/24")})},
			{Prefix: "/only", Rules: mustRules(t, sites.RuleOptions{Allow: mustPrefixes("192.0.2.7/32")})},
			{Prefix: "/not", Rules: mustRules(t, sites.RuleOptions{Deny: mustPrefixes("192.0.2.7/32")})},
			{Prefix: "/get", Rules: mustRules(t, sites.RuleOptions{Methods: []string{"GET", "OPTIONS"}})},
			{Prefix: "/large", Rules: mustRules(t, sites.RuleOptions{MaxBodySize: 1000})},
			{Prefix: "/small", Rules: mustRules(t, sites.RuleOptions{MaxBodySize: 10})},
			{Prefix: "/slow", Rules: mustRules(t, sites.RuleOptions{Timeout: 10 * time.Millisecond})},
			{Prefix: "/app"},
		},
	})
	get := func(request, fields string) string {
		return s.talk(t, request+" HTTP/1.0\r\n"+fields+"\r\n")
	}
	file := get("GET /s/file.txt", "")
	if field(file, "ETag") != "" || field(file, "Server") != "" || field(file, "X-Site") != "files" || field(file, "Content-Type") != "text/x" ||
		strings.Count(file, "X-More: ") != 2 || strings.Count(file, "\nContent-Type") != 1 || !strings.HasSuffix(file, "content") {
		t.Errorf("file: %q", file)
	}
	if again := get("GET /s/file.txt", ""); plainly(again) != plainly(file) {
		t.Errorf("from memory: %q, from disk: %q", again, file)
	}
	for _, request := range []string{"GET /app", "GET /none", "GET /s/none"} {
		if got := get(request, ""); !strings.HasPrefix(field(got, "X-Site"), map[bool]string{true: "files", false: "site"}[request == "GET /s/none"]) || strings.Count(got, "X-More: ") != 2 {
			t.Errorf("%s: %q", request, got)
		}
	}
	if got := s.talk(t, "nonsense\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") || field(got, "X-Site") != "site" {
		t.Errorf("no request: %q", got)
	}
	for _, test := range []struct {
		request, from, status string
	}{
		{"GET /lan", "192.0.2.1", "200"}, {"GET /lan", "198.51.100.1", "403"}, {"GET /lan", "2001:db8::5", "200"}, {"GET /lan", "2001:db9::5", "403"},
		{"GET /lan", "::ffff:192.0.2.1", "200"},
		{"GET /some", "192.0.2.7", "200"}, {"GET /some", "192.0.2.8", "403"}, {"GET /some", "198.51.100.1", "200"},
		{"GET /only", "192.0.2.7", "200"}, {"GET /only", "192.0.2.8", "403"},
		{"GET /not", "192.0.2.7", "403"}, {"GET /not", "192.0.2.8", "200"},
		{"GET /get", "192.0.2.1", "200"}, {"HEAD /get", "192.0.2.1", "200"}, {"POST /get", "192.0.2.1", "405"}, {"get /get", "192.0.2.1", "405"},
		{"GET /slow", "192.0.2.1", "504"},
	} {
		got := get(test.request, "X-Forwarded-For: "+test.from+"\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 "+test.status) {
			t.Errorf("%s from %s: %q, want %s", test.request, test.from, got, test.status)
		}
		if test.status == "405" && field(got, "Allow") != "GET, OPTIONS, HEAD" {
			t.Errorf("Allow: %q", field(got, "Allow"))
		}
	}
	for _, test := range []struct {
		path   string
		size   int
		status string
	}{
		{"/app", 100, "200"}, {"/app", 101, "413"}, {"/large", 1000, "200"}, {"/large", 1001, "413"}, {"/small", 10, "200"}, {"/small", 11, "413"},
	} {
		body := strings.Repeat("x", test.size)
		for _, request := range []string{
			fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", test.path, test.size, body),
			fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", test.path, test.size, body),
		} {
			if got := s.talk(t, request); !strings.HasPrefix(got, "HTTP/1.1 "+test.status) {
				t.Errorf("%d bytes to %s: %q, want %s", test.size, test.path, got, test.status)
			}
		}
	}
}
