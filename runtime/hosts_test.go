package runtime

import (
	"net"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	names := [][]string{
		{"default.example"},
		{"example.org", "[2001:db8::1]", "192.0.2.1"},
		{"*.example.org"},
		{"*.deep.example.org"},
		{"www.example.*"},
		{"Exact.Example.ORG."},
	}
	var sites []Site
	for _, n := range names {
		sites = append(sites, Site{Names: n})
	}
	h, err := newHosts(sites, false)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"example.org":                     1,
		"EXAMPLE.org:8080":                1,
		"example.org.":                    1,
		"example.org.:80":                 1,
		"[2001:DB8:0::1]:80":              1,
		"[2001:db8::2]":                   -1,
		"192.0.2.1:80":                    1,
		"a.example.org":                   2,
		"a.b.example.org":                 2,
		"deep.example.org":                2,
		"x.deep.example.org":              3,
		"www.example.org":                 2, // before example.*, as nginx has it
		"www.example.net":                 4,
		"www.example.co.uk:80":            4,
		"www.example":                     -1,
		"exact.example.org":               5,
		"notexample.org":                  -1,
		".example.org":                    -1,
		"":                                -1,
		strings.Repeat("a.", 200) + "org": -1,
	} {
		got := -1
		if s := h.find([]byte(host)); s != nil {
			for i := range sites {
				if s == &sites[i] {
					got = i
				}
			}
		}
		if got != want {
			t.Errorf("%q: site %d, want %d", host, got, want)
		}
	}
	host := []byte("A.B.Example.org:8080")
	if n := testing.AllocsPerRun(100, func() { h.find(host) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestHostErrors(t *testing.T) {
	for _, test := range []struct {
		names [][]string
		want  string
	}{
		{[][]string{{"a.example", "b.example"}, {"B.example"}}, `the host "B.example" belongs to two sites`},
		{[][]string{{"*.example"}, {"*.example."}}, "belongs to two sites"},
		{[][]string{{"a:80"}}, "not the name of a host"},
		{[][]string{{"a.*.b"}}, "not the name of a host"},
		{[][]string{{"*"}}, "not the name of a host"},
		{[][]string{{"*.[::1]"}}, "not the name of a host"},
		{[][]string{{""}}, "not the name of a host"},
		{[][]string{{"a b"}}, "not the name of a host"},
		{[][]string{{"a"}, {}}, "site 2 of 2 has no name"},
	} {
		var sites []Site
		for _, n := range test.names {
			sites = append(sites, Site{Names: n})
		}
		if _, err := newHosts(sites, false); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", test.names, err, test.want)
		}
	}
	if h, err := newHosts([]Site{{Names: []string{"a"}}}, false); h != nil || err != nil {
		t.Errorf("one site: %v, %v: there is nothing to choose", h, err)
	}
	if h, err := newHosts([]Site{{}}, true); h != nil && h.strict || err != nil {
		t.Errorf("a site for all hosts: %v", err)
	}
}

// FuzzHosts: no host leads to a site whose name it has not.
func FuzzHosts(f *testing.F) {
	sites := []Site{{Names: []string{"a.example"}}, {Names: []string{"*.b.example", "c.example.*"}}}
	h, err := newHosts(sites, false)
	if err != nil {
		f.Fatal(err)
	}
	for _, host := range []string{"a.example", "A.EXAMPLE.:80", "x.b.example", "[::1]:80", "..", "c.example.", "[", "]:"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name := string(normalHost(nil, []byte(host)))
		switch h.find([]byte(host)) {
		case &sites[0]:
			if name != "a.example" {
				t.Errorf("%q is taken for a.example", host)
			}
		case &sites[1]:
			if !strings.HasSuffix(name, ".b.example") && !strings.HasPrefix(name, "c.example.") {
				t.Errorf("%q is taken for another host", host)
			}
		}
	})
}

// serveSites starts a server with sites; a answers where they name nothing else.
func serveSites(t testing.TB, cfg Config, a Handler, sites ...Site) *testServer {
	t.Helper()
	ts := &testServer{log: &logRecorder{}}
	if cfg.Log == nil {
		cfg.Log = ts.log.add
	}
	var err error
	if ts.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ln, err := Listen("127.0.0.1:0", DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.Serve([]net.Listener{ln}, sites, a); err != nil {
		t.Fatal(err)
	}
	ts.addr = ln.Addr().String()
	t.Cleanup(func() {
		ts.Close()
		if text := ts.log.String(); strings.Contains(text, "bug:") {
			t.Error(text)
		}
	})
	return ts
}

// fixed is a mount that says a word.
func fixed(t testing.TB, prefix, text string) Mount {
	t.Helper()
	f, err := NewFixed(FixedOptions{Body: text})
	if err != nil {
		t.Fatal(err)
	}
	return Mount{Prefix: prefix, Fixed: f}
}

func TestVirtualHosts(t *testing.T) {
	site := func(text string, names ...string) Site {
		return Site{Names: names, Table: []Mount{fixed(t, "/", text)}}
	}
	for _, strict := range []bool{false, true} {
		unknown := "HTTP/1.1 200"
		if strict {
			unknown = "HTTP/1.1 421"
		}
		s := serveSites(t, Config{RefuseUnknownHosts: strict, Proxies: mustPrefixes("127.0.0.0/8")}, nil,
			site("one", "one.example"), site("two", "two.example", "*.two.example"))
		for _, test := range []struct{ request, want string }{
			{"GET / HTTP/1.1\r\nHost: one.example\r\n", "\r\n\r\none"},
			{"GET / HTTP/1.1\r\nHost: TWO.example:80\r\n", "\r\n\r\ntwo"},
			{"GET / HTTP/1.1\r\nHost: a.b.two.example.\r\n", "\r\n\r\ntwo"},
			{"GET http://two.example/ HTTP/1.1\r\nHost: one.example\r\n", "\r\n\r\ntwo"},
			{"GET / HTTP/1.1\r\nHost: one.example\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: two.example\r\n", "\r\n\r\ntwo"},
			{"GET / HTTP/1.0\r\n", "\r\n\r\none"},
			{"GET / HTTP/1.1\r\nHost: other.example\r\n", unknown},
			{"OPTIONS * HTTP/1.1\r\nHost: other.example\r\n", map[bool]string{false: "HTTP/1.1 204", true: unknown}[strict]},
		} {
			if got := s.talk(t, test.request+"Connection: close\r\n\r\n"); !strings.Contains(got, test.want) {
				t.Errorf("strict %v: %q: %q, want %q", strict, test.request, got, test.want)
			}
		}
	}
}
