package route

import (
	"crypto/x509"
	"net/netip"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

func TestPathSelectsTheFirstMountThatMatches(t *testing.T) {
	for _, test := range []struct {
		prefixes     []string
		path         string
		mount        int
		script, info string
	}{
		{[]string{"/"}, "/", 0, "", "/"},
		{[]string{"/"}, "/a/b", 0, "", "/a/b"},
		{[]string{"/abc"}, "/abcdef", 0, "", "/abcdef"},
		{[]string{"/abc"}, "/abc", 0, "/abc", ""},
		{[]string{"/abc"}, "/abc/", 0, "/abc", "/"},
		{[]string{"/a/"}, "/a/b", 0, "/a", "/b"},
		{[]string{"/a/"}, "/a/", 0, "/a", "/"},
		{[]string{"/a/"}, "/a//b", 0, "/a", "//b"},
		{[]string{"/a//"}, "/a//b", 0, "/a", "//b"},
		{[]string{"/a/"}, "/a", -1, "", ""},
		{[]string{"/a/b"}, "/a/bc", 0, "/a", "/bc"},
		{[]string{"/a/b"}, "/a/b/c", 0, "/a/b", "/c"},
		{[]string{""}, "/x", 0, "", "/x"},
		{[]string{"/a", "/ab"}, "/abc", 0, "", "/abc"},
		{[]string{"/b", "/a"}, "/a", 1, "/a", ""},
		{[]string{"/b"}, "/a", -1, "", ""},
		{nil, "/", -1, "", ""},
		{[]string{"/é"}, "/é/x", 0, "/é", "/x"},
	} {
		mount, script := -1, 0
		for i, p := range test.prefixes {
			m := &compiled{Mount: Mount{Prefix: p}}
			path := []byte(test.path)
			if n, ok := m.fits(path); ok && newMountIndex([]compiled{*m}).find(path) == 0 {
				mount, script = i, n
				break
			}
		}
		if mount != test.mount {
			t.Errorf("%q on %q: mount %d, want %d", test.prefixes, test.path, mount, test.mount)
			continue
		}
		if mount < 0 {
			continue
		}
		got := test.path[:script]
		checktest.Truef(t, got == test.script && test.path[script:] == test.info,
			"%q on %q: %q + %q, want %q + %q", test.prefixes, test.path, got, test.path[script:], test.script, test.info)
	}
}

func TestUnixSocketClientsMatchOnlyNetworksOfAllAddresses(t *testing.T) {
	all := []string{"0.0.0.0/0", "::/0"}
	for _, test := range []struct {
		allow, deny []string
		addr        string
		want        bool
	}{
		{all, nil, "", true}, {nil, all, "", false}, {[]string{"127.0.0.0/8"}, all, "", false},
		{[]string{"127.0.0.0/8"}, nil, "", false},
		{nil, []string{"127.0.0.0/8"}, "", true}, {[]string{"127.0.0.0/8"}, all, "127.0.0.1", true},
		{[]string{"fe80::/10"}, all, "fe80::1%eth0", true}, {[]string{"10.0.0.0/8"}, all, "::ffff:10.1.2.3", true},
		{nil, []string{"0.0.0.0/0"}, "2001:db8::1", true}, {nil, all, "2001:db8::1", false},
		{nil, all, "nonsense", false},
	} {
		g := Guard{Allow: prefixes(test.allow), Deny: prefixes(test.deny)}
		checktest.Equalf(t, g.admits(test.addr), test.want, "allow %v, deny %v: %q", test.allow, test.deny, test.addr)
	}
}

func prefixes(texts []string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestMountForPlainHTTPDoesNotMatchHTTPS(t *testing.T) {
	table := checktest.Try(New([]Site{{Mounts: []Mount{{Prefix: "/", Plain: true, Except: []string{"/.well-known/a/"}},
		{Prefix: "/"}}}})).Must(t)
	for _, c := range []struct {
		scheme, path string
		mount        int
	}{
		{"", "/x", 0}, {"http", "/", 0}, {"https", "/", 1}, {"https", "/.well-known/a/b", 1},
		{"", "/.well-known/a/b", 1}, {"", "/.well-known/a/", 1}, {"", "/.well-known/a", 0},
		{"", "/.well-known/a/../b", 0}, {"", "//.well-known/a/b", 1},
	} {
		head := []byte("GET " + c.path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		limits := http1.DefaultLimits
		var r http1.Request
		checktest.Try(r.Parse(head, &limits)).Must(t)
		var d Decision
		table.Decide(&d, Input{Parsed: &r, Head: head, Client: &conn.Peer{HTTPS: c.scheme == "https"}})
		checktest.Equalf(t, d.Mount, c.mount, "%q %s: mount", c.scheme, c.path)
	}
}

func TestRuleAndTLSStateDecideWhetherAClientPasses(t *testing.T) {
	some := []*x509.Certificate{new(x509.Certificate)}
	clients := map[string]*conn.TLSState{
		"plain":   nil,
		"none":    {Authorities: "a"},
		"good":    {Authorities: "a", Certificates: some, Verified: true},
		"refused": {Authorities: "a", Certificates: some, Refused: "it is old"},
		"other":   {Authorities: "b", Certificates: some, Verified: true},
		"unasked": {},
	}
	for _, c := range []struct {
		rule ClientCert
		want map[string]int
	}{
		{ClientCert{}, nil},
		{ClientCert{Authorities: "a"}, map[string]int{"other": 421, "unasked": 421}},
		{ClientCert{Authorities: "a", Need: NoBadCert}, map[string]int{"other": 421, "unasked": 421, "refused": 403}},
		{ClientCert{Authorities: "a", Need: VerifiedCert}, map[string]int{"other": 421, "unasked": 421, "refused": 403,
			"none": 403, "plain": 403}},
	} {
		for name, state := range clients {
			status, text := c.rule.check(&conn.Peer{TLS: state})
			checktest.Truef(t, status == c.want[name] && (text == "") == (status == 0),
				"%+v, %s: status %d, %q", c.rule, name, status, text)
		}
	}
}
