package route

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

var limits = http1.Limits{RequestLine: 8 << 10, FieldLine: 8 << 10, Head: 64 << 10, Fields: 100}

func parse(text string) (r Input, ok bool) {
	parsed := new(http1.Request)
	buf := []byte(text + "\r\n\r\n")
	n, err := parsed.Parse(buf, &limits)
	if err != nil {
		return r, false
	}
	return Input{Parsed: parsed, Head: buf[n-parsed.HeadLen : n],
		Client: &conn.Peer{Addr: "192.0.2.1", ServerName: "192.0.2.2"}}, true
}

func guarded(t testing.TB) *Table {
	t.Helper()
	to := checktest.Try(NewRewrite("/new/$1")).Must(t)
	round, err := NewRewrite("/round")
	checktest.Must(t, err)
	mounts := []Mount{
		{Prefix: "/priv/", Guard: Guard{Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
		{Prefix: "/", Match: "*.inc", Guard: Guard{Methods: []string{"POST"}, AllowField: []byte("Allow: POST\r\n")}},
		{Prefix: "/login", Guard: Guard{Admission: true}},
		{Prefix: "/", Within: "/within", Match: "*.p", Inner: true},
		{Prefix: "/to/", Rewrite: to},
		{Prefix: "/new/priv"},
		{Prefix: "/files", Optional: true},
		{Prefix: "/files"},
		{Prefix: "/app"},
	}
	for range maxRounds + 1 {
		mounts = append(mounts, Mount{Prefix: "/round", Rewrite: round})
	}
	table, err := New([]Site{{Mounts: mounts}, {Names: []string{"other.example"}, Guard: Guard{Admission: true}}})
	checktest.Must(t, err)
	return table
}

func TestRequestsAreRoutedToMountsAndRejected(t *testing.T) {
	table := guarded(t)
	var d Decision
	for _, c := range []struct {
		head          string
		outcome       Outcome
		mount, status int
		path, script  string
	}{
		{"GET /app/x HTTP/1.0", Found, 8, 0, "/app/x", "/app"},
		{"GET //app/./x HTTP/1.0", Found, 8, 0, "/app/x", "/app"},
		{"GET /application HTTP/1.0", Found, 8, 0, "/application", ""},
		{"GET /nothing HTTP/1.0", Refused, -1, 404, "/nothing", ""},
		{"GET /%2fpriv/x HTTP/1.0", Refused, 0, 403, "/priv/x", "/priv"},
		{"GET /a/x.inc HTTP/1.0", Refused, 1, 405, "/a/x.inc", ""},
		{"POST /a/x.inc HTTP/1.0", Found, 1, 0, "/a/x.inc", ""},
		{"GET /login/x HTTP/1.0", NeedsAdmission, 2, 0, "/login/x", "/login"},
		{"GET /within/a.p/b HTTP/1.0", Found, 3, 0, "/within/a.p/b", "/within/a.p"},
		{"GET /to/priv HTTP/1.0", Found, 5, 0, "/new/priv", "/new/priv"},
		{"GET /to/../priv/ HTTP/1.0", Refused, 0, 403, "/priv/", "/priv"},
		{"GET /files/x HTTP/1.0", NeedsLookup, 6, 0, "/files/x", "/files"},
		{"GET /round HTTP/1.0", Refused, 19, 500, "/round", "/round"},
		{"GET /../x HTTP/1.0", Refused, -1, 400, "/../x", ""},
		{"OPTIONS * HTTP/1.0", Refused, -1, 204, "*", ""},
		{"GET / HTTP/1.1\r\nHost: other.example", NeedsAdmission, -1, 0, "/", ""},
	} {
		r, ok := parse(c.head)
		checktest.Needf(t, ok, "%q is no request", c.head)
		table.Decide(&d, r)
		if d.Outcome != c.outcome || d.Mount != c.mount || d.Status != c.status || string(d.Path) != c.path ||
			string(d.Path[:d.Script]) != c.script && d.Mount >= 0 {
			t.Errorf("%q: outcome %d, mount %d, status %d, path %q, script %d, want %+v", c.head, d.Outcome, d.Mount,
				d.Status, d.Path, d.Script, c)
		}
		switch d.Outcome {
		case NeedsAdmission:
			if d.Admit(); d.Mount >= 0 && d.Outcome != Found || d.Mount < 0 && d.Status != 404 {
				t.Errorf("%q, admitted: outcome %d, status %d", c.head, d.Outcome, d.Status)
			}
		case NeedsLookup:
			if d.Skip(); d.Outcome != Found || d.Mount != 7 {
				t.Errorf("%q, without a file: outcome %d, mount %d", c.head, d.Outcome, d.Mount)
			}
		}
	}
}

// After Keep, the memory of the request's head may be reused.
func TestDecisionStaysValidAfterKeep(t *testing.T) {
	table := guarded(t)
	for _, head := range []string{
		"GET /login/x HTTP/1.1\r\nHost: a",
		"GET //login/%78 HTTP/1.1\r\nHost: a",
		"GET /files/x HTTP/1.1\r\nHost: a",
		"GET /to/files//y?q HTTP/1.1\r\nHost: a",
		"GET /app/x?q HTTP/1.1\r\nHost: a",
		"GET /a HTTP/1.1\r\nHost: other.example",
	} {
		for _, root := range []string{"", "/outer"} {
			var kept, d Decision
			r, _ := parse(head)
			r.Root = root
			table.Decide(&kept, r)
			kept.Keep()
			for i := range r.Head {
				r.Head[i] = 'x'
			}
			r, _ = parse(head)
			r.Root = root
			table.Decide(&d, r)
			for {
				if d.Outcome != kept.Outcome || d.Mount != kept.Mount || d.Status != kept.Status ||
					d.Script != kept.Script || string(d.Path) != string(kept.Path) ||
					string(d.Asked()) != string(kept.Asked()) || string(d.Head) != string(kept.Head) {
					t.Errorf("%q below %q: outcome %d, mount %d, path %q, head %q, but kept %d, %d, %q, %q", head, root,
						d.Outcome, d.Mount, d.Path, d.Head, kept.Outcome, kept.Mount, kept.Path, kept.Head)
				}
				if d.Outcome == NeedsAdmission {
					d.Admit()
					kept.Admit()
				} else if d.Outcome == NeedsLookup {
					d.Skip()
					kept.Skip()
				} else {
					break
				}
			}
		}
	}
}

func TestMountWithHavingNeedsASegmentThatMatches(t *testing.T) {
	table := checktest.Try(New([]Site{{Mounts: []Mount{
		{Prefix: "/x", Within: "/x/pri", Having: "private.key"},
		{Prefix: "/", Match: "*.sh", Inner: true, Having: "*.key"},
		{Prefix: "/", Having: "*.key"},
		{Prefix: "/"},
	}}})).Must(t)
	_, err := New([]Site{{Mounts: []Mount{{Having: "["}}}})
	checktest.Truef(t, err != nil, "a bad pattern is taken")
	var d Decision
	for target, mount := range map[string]int{
		"/x/private.key": 0, "/x//private.key/more": 0, "/x/private.keys": 3, "/x/a/private.key": 2, "/a.key": 2,
		"/a.key/b": 2, "/a%2ekey": 2,
		"/b/a.key/c": 2, "/a.keys": 3, "/key": 3, "/": 3, "/b.sh/a.key": 1, "/a.key/b.sh": 1, "/b.sh": 3,
	} {
		r, _ := parse("GET " + target + " HTTP/1.0")
		if table.Decide(&d, r); d.Outcome != Found || d.Mount != mount {
			t.Errorf("%s: outcome %d, mount %d, want %d", target, d.Outcome, d.Mount, mount)
		}
	}
}

// Routing does not allocate memory for any spelling of the path, unless the request is rewritten.
func TestRoutingDoesNotAllocate(t *testing.T) {
	table := guarded(t)
	r, _ := parse("GET //files/%41 HTTP/1.1\r\nHost: example.org")
	r.Root = "/outer"
	var d Decision
	checktest.Equalf(t, testing.AllocsPerRun(100, func() { table.Decide(&d, r); d.Skip() }), 0, "allocations")
}

func FuzzDecide(f *testing.F) {
	for _, s := range []string{"/priv/x", "/%2fpriv/x", "/./priv/../x.inc", "/app//priv", "/to/a/%2e%2e/priv",
		`/a\..\priv`, "/a/..;/priv", "/login//x", "/files/%00", "/round"} {
		f.Add(s, "h", "")
		f.Add(s, "other.example", "/outer")
	}
	table := guarded(f)
	f.Fuzz(func(t *testing.T, target, host, root string) {
		if root != "" && (!http1.IsCanonicalPath(root) || strings.HasSuffix(root, "/")) {
			return
		}
		r, ok := parse("GET " + target + " HTTP/1.1\r\nHost: " + host)
		if !ok {
			return
		}
		r.Root = root
		var d, again Decision
		table.Decide(&d, r)
		if d.Status == 400 || d.Status == 204 {
			return
		}
		checktest.Needf(t, http1.IsCanonicalPath(string(d.Path)), "%q is decided on %q", target, d.Path)
		checktest.Needf(t, d.Script <= len(d.Path) && (d.Mount < 0 || d.Script >= d.Root),
			"%q: script %d, root %d, path %q", target, d.Script, d.Root, d.Path)
		if d.Rewritten {
			return // the rewritten path differs from the client's path
		}
		canonical, ok := parse("GET " + string(AppendPath(nil, d.Path)) + " HTTP/1.1\r\nHost: " + host)
		if !ok {
			return // percent-encoding can make a path longer than the limits
		}
		canonical.Root = root
		table.Decide(&again, canonical)
		checktest.Needf(t, again.Outcome == d.Outcome && again.Mount == d.Mount && again.Site == d.Site &&
			again.Status == d.Status && again.Script == d.Script, "%q: %d %d %d, but %q: %d %d %d", target, d.Outcome, d.Mount,
			d.Status, d.Path, again.Outcome, again.Mount, again.Status)
	})
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"/a", "//evil.example", "/\\x", "/%0d%0a", "/a?b", "/\r\nX: y", "/.evil.example",
		"/@evil"} {
		f.Add(s, "q=1")
	}
	var templates []Template
	for _, target := range []string{"${path}", "/x${rest}?${query}", "/${rest}", "/${query}",
		"https://safe.example${path}", "https://safe.example${rest}?${query}", "https://safe.example/$1"} {
		templates = append(templates, checktest.Try(ParseTemplate(target, VarPath, VarRest, VarQuery)).Must(f))
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		for i := range templates {
			for _, v := range []Values{
				{path: []byte(path), rest: []byte(path), query: []byte(query)},
				{path: AppendPath(nil, []byte(path)), rest: AppendPath(nil, []byte(path)), query: []byte(query)},
			} {
				got := templates[i].Append(nil, &v)
				for _, c := range got {
					checktest.Needf(t, c > ' ' && c < 0x7f, "%q has %q", got, c)
				}
				if i >= 4 {
					rest, ok := bytes.CutPrefix(got, []byte("https://safe.example"))
					checktest.Needf(t, ok && (len(rest) == 0 || rest[0] == '/' || rest[0] == '?'), "%q is another host", got)
				} else if bytes.HasPrefix(got, []byte("//")) || bytes.HasPrefix(got, []byte("/\\")) {
					t.Fatalf("%q is another host", got)
				}
			}
		}
	})
}

func TestCacheOfMissingPathsIsBounded(t *testing.T) {
	var m Missing
	for i := range 3 * missesMax {
		m.Add(fmt.Appendf(nil, "/%d", i), 0)
	}
	n := len(m.since)
	checktest.Truef(t, n <= missesMax, "%d paths", n)
	long := bytes.Repeat([]byte("x"), missesLen+1)
	m.Add(long, 0)
	checktest.Truef(t, !m.Has(long, 0), "a long path is remembered")
	path := []byte("/x")
	m.Add(path, 5)
	checktest.Truef(t, m.Has(path, 5+missesAge-1) && !m.Has(path, 5+missesAge), "remembered for another time")
}
