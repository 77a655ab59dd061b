package route

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"fapws/runtime/conn"
)

func trustTen(a netip.Addr) bool {
	return contains([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, a.Unmap())
}

func TestNodesOfForwardingFieldsAreParsed(t *testing.T) {
	for _, c := range []struct{ in, addr, port string }{
		{"192.0.2.1", "192.0.2.1", ""},
		{"192.0.2.1:4711", "192.0.2.1", "4711"},
		{"192.0.2.1:_hidden", "192.0.2.1", ""},
		{"2001:db8::1", "2001:db8::1", ""},
		{"2001:DB8:0::1", "2001:db8::1", ""},
		{"[2001:db8::1]", "2001:db8::1", ""},
		{"[2001:db8::1]:80", "2001:db8::1", "80"},
		{"[2001:db8::1]:_x", "2001:db8::1", ""},
		{"::ffff:192.0.2.1", "192.0.2.1", ""},
		{"", "", ""},
		{"unknown", "", ""},
		{"_hidden", "", ""},
		{"192.0.2.1:", "", ""},
		{"192.0.2.1:65536", "", ""},
		{"192.0.2.1:080", "", ""},
		{"192.0.2.1:+1", "", ""},
		{"192.0.2.256", "", ""},
		{"192.0.2.01", "", ""},
		{"192.0.2", "", ""},
		{"3221225985", "", ""},
		{"fe80::1%eth0", "fe80::1", ""},
		{"[fe80::1%25eth0]:80", "fe80::1", "80"},
		{"[192.0.2.1]", "", ""},
		{"[192.0.2.1]:80", "", ""},
		{"[2001:db8::1", "", ""},
		{"[2001:db8::1]80", "", ""},
		{"[2001:db8::1]:", "", ""},
		{"2001:db8::1]:80", "", ""},
		{"localhost", "", ""},
		{"192.0.2.1 ", "", ""},
		{"192.0.2.1\x00", "", ""},
		{"192.0.2.1;x", "", ""},
	} {
		addr, port, ok := parseNode(c.in)
		got := ""
		if ok {
			got = addr.String()
		}
		if got != c.addr || ok && port != c.port {
			t.Errorf("%q: %q %q %v, want %q %q", c.in, got, port, ok, c.addr, c.port)
		}
	}
}

func TestForwardingFieldsNameTheOrigin(t *testing.T) {
	one := func(s ...string) []string { return s }
	for _, c := range []struct {
		name string
		said forwarding
		want Origin
	}{
		{"nothing", forwarding{}, Origin{}},
		{"a client", forwarding{client: one("192.0.2.1")}, Origin{addr: "192.0.2.1"}},
		{"a client with its port", forwarding{client: one("[2001:db8::1]:4711")},
			Origin{addr: "2001:db8::1", port: "4711"}},
		{"what the client made up", forwarding{client: one("198.51.100.9, 192.0.2.1")}, Origin{addr: "192.0.2.1"}},
		{"a line of its own that it made up", forwarding{client: one("198.51.100.9", "192.0.2.1")},
			Origin{addr: "192.0.2.1"}},
		{"a made up chain of proxies", forwarding{client: one("198.51.100.9, 10.0.0.1, 192.0.2.1")},
			Origin{addr: "192.0.2.1"}},
		{"through two proxies", forwarding{client: one("198.51.100.9, 192.0.2.1, 10.0.0.7")},
			Origin{addr: "192.0.2.1"}},
		{"in two lines", forwarding{client: one("198.51.100.9, 192.0.2.1", "10.0.0.7 ,\t10.0.0.8")},
			Origin{addr: "192.0.2.1"}},
		{"only proxies", forwarding{client: one("10.0.0.6, 10.0.0.7")}, Origin{addr: "10.0.0.6"}},
		{"a mapped proxy", forwarding{client: one("192.0.2.1, ::ffff:10.0.0.7")}, Origin{addr: "192.0.2.1"}},
		{"empty members", forwarding{client: one(" , ,192.0.2.1,, 10.0.0.7, ,")}, Origin{addr: "192.0.2.1"}},
		{"only commas", forwarding{client: one(" , ,", "")}, Origin{}},
		{"unknown", forwarding{client: one("192.0.2.1, unknown")}, Origin{}},
		{"hidden behind a proxy", forwarding{client: one("192.0.2.1, _x, 10.0.0.7")}, Origin{addr: "10.0.0.7"}},
		{"no address", forwarding{client: one("192.0.2.1, what")},
			Origin{BadField: "X-Forwarded-For", BadValue: "what"}},
		{"a zone", forwarding{client: one("fe80::1%eth0")}, Origin{addr: "fe80::1"}},
		{"a zone and a port", forwarding{client: one("[fe80::1%25eth0.7]:4711")},
			Origin{addr: "fe80::1", port: "4711"}},
		{"a zone in RFC 7239", forwarding{forwarded: one(`for="[fe80::1%eth0]"`)}, Origin{addr: "fe80::1"}},
		{"a mapped address with a zone", forwarding{client: one("::ffff:192.0.2.1%eth0")}, Origin{addr: "192.0.2.1"}},
		{"an IPv4 address with a zone", forwarding{client: one("192.0.2.1%eth0")},
			Origin{BadField: "X-Forwarded-For", BadValue: "192.0.2.1%eth0"}},
		{"a zone without a name", forwarding{client: one("fe80::1%")},
			Origin{BadField: "X-Forwarded-For", BadValue: "fe80::1%"}},
		{"10 KB of them", forwarding{client: one(strings.Repeat("198.51.100.9,", 800) + "192.0.2.1")},
			Origin{addr: "192.0.2.1"}},
		{"10 KB of junk", forwarding{client: one(strings.Repeat("x", 10<<10) + ", 192.0.2.1")},
			Origin{addr: "192.0.2.1"}},
		{"10 KB of proxies", forwarding{client: one("192.0.2.1" + strings.Repeat(",10.0.0.1", 1000))},
			Origin{addr: "192.0.2.1"}},

		{"https", forwarding{proto: one("https")}, Origin{proto: "https"}},
		{"in capitals", forwarding{proto: one("HTTP")}, Origin{proto: "http"}},
		{"a WebSocket over TLS", forwarding{proto: one("wss")}, Origin{proto: "https"}},
		{"a WebSocket", forwarding{proto: one("WS")}, Origin{proto: "http"}},
		{"a WebSocket in RFC 7239", forwarding{forwarded: one(`for=192.0.2.1;proto="WSS"`)},
			Origin{addr: "192.0.2.1", proto: "https"}},
		{"a WebSocket through two proxies", forwarding{client: one("192.0.2.1, 10.0.0.7"), proto: one("ws, wss, http")},
			Origin{addr: "192.0.2.1", proto: "https"}},
		{"another scheme", forwarding{proto: one("ftp")}, Origin{BadField: "X-Forwarded-Proto", BadValue: "ftp"}},
		{"a made up scheme", forwarding{client: one("192.0.2.1"), proto: one("https, http")},
			Origin{addr: "192.0.2.1", proto: "http"}},
		{"a scheme of two proxies", forwarding{client: one("192.0.2.1, 10.0.0.7"), proto: one("http, https, http")},
			Origin{addr: "192.0.2.1", proto: "https"}},
		{"a scheme of one of two", forwarding{client: one("192.0.2.1, 10.0.0.7"), proto: one("https")},
			Origin{addr: "192.0.2.1", proto: "https"}},

		{"a host", forwarding{host: one("a.example:8443")}, Origin{host: "a.example:8443"}},
		{"two hosts", forwarding{host: one("evil.example, a.example")}, Origin{host: "a.example"}},
		{"no host", forwarding{host: one("a/b")}, Origin{BadField: "X-Forwarded-Host", BadValue: "a/b"}},
		{"a host with user", forwarding{host: one("me@a.example")},
			Origin{BadField: "X-Forwarded-Host", BadValue: "me@a.example"}},
		{"a host with a blank", forwarding{host: one("a b")}, Origin{BadField: "X-Forwarded-Host", BadValue: "a b"}},
		{"a port", forwarding{port: one("8443")}, Origin{hostPort: "8443"}},
		{"no port", forwarding{port: one("0")}, Origin{BadField: "X-Forwarded-Port", BadValue: "0"}},
		{"too large a port", forwarding{port: one("99999")}, Origin{BadField: "X-Forwarded-Port", BadValue: "99999"}},

		{"a prefix", forwarding{prefix: one("/app/")}, Origin{Prefix: "/app"}},
		{"a prefix of Home Assistant", forwarding{ingress: one("/api/hassio_ingress/a-B_c")},
			Origin{Prefix: "/api/hassio_ingress/a-B_c"}},
		{"two prefixes", forwarding{prefix: one("/app"), ingress: one("/other")}, Origin{Prefix: "/app"}},
		{"up with Home Assistant", forwarding{ingress: one("/a/../b")},
			Origin{BadField: "X-Ingress-Path", BadValue: "/a/../b"}},
		{"an encoded prefix", forwarding{prefix: one("/caf%C3%A9")}, Origin{Prefix: "/caf\u00e9"}},
		{"the root", forwarding{prefix: one("/")}, Origin{}},
		{"up", forwarding{prefix: one("/a/../b")}, Origin{BadField: "X-Forwarded-Prefix", BadValue: "/a/../b"}},
		{"up, encoded", forwarding{prefix: one("/a/%2e%2E")},
			Origin{BadField: "X-Forwarded-Prefix", BadValue: "/a/%2e%2E"}},
		{"another host", forwarding{prefix: one("//evil.example")},
			Origin{BadField: "X-Forwarded-Prefix", BadValue: "//evil.example"}},
		{"encoded", forwarding{prefix: one("/%2fevil.example")},
			Origin{BadField: "X-Forwarded-Prefix", BadValue: "/%2fevil.example"}},
		{"a whole address", forwarding{prefix: one("https://a.example")},
			Origin{BadField: "X-Forwarded-Prefix", BadValue: "https://a.example"}},
		{"a control", forwarding{prefix: one("/a%0Db")}, Origin{BadField: "X-Forwarded-Prefix", BadValue: "/a%0Db"}},
		{"a NUL", forwarding{prefix: one("/a%00")}, Origin{BadField: "X-Forwarded-Prefix", BadValue: "/a%00"}},
		{"a query", forwarding{prefix: one("/a?b")}, Origin{BadField: "X-Forwarded-Prefix", BadValue: "/a?b"}},
		{"a long one", forwarding{prefix: one("/" + strings.Repeat("a", 256))},
			Origin{BadField: "X-Forwarded-Prefix", BadValue: "/" + strings.Repeat("a", 256)}},

		{"RFC 7239", forwarding{forwarded: one(`for=192.0.2.60;proto=http;by=203.0.113.43`)},
			Origin{addr: "192.0.2.60", proto: "http"}},
		{"quoted", forwarding{forwarded: one(`For="[2001:db8:cafe::17]:4711"`)},
			Origin{addr: "2001:db8:cafe::17", port: "4711"}},
		{"escaped", forwarding{forwarded: one(`for="192\.0.2.60" ; HOST="a\.example"`)},
			Origin{addr: "192.0.2.60", host: "a.example"}},
		{"made up", forwarding{forwarded: one(`for=198.51.100.9;proto=https;host=evil.example, for=192.0.2.1`)},
			Origin{addr: "192.0.2.1"}},
		{"two lines", forwarding{forwarded: one(`for=198.51.100.9`, `for=192.0.2.1`, `for=10.0.0.7;proto=http`)},
			Origin{addr: "192.0.2.1", proto: "http"}},
		{"the outer proxy knows better",
			forwarding{forwarded: one(`for=192.0.2.1;proto=https;host=a.example, for=10.0.0.7;proto=http;host=inner`)},
			Origin{addr: "192.0.2.1", proto: "https", host: "a.example"}},
		{"it says nothing", forwarding{forwarded: one(`for=192.0.2.1, for=10.0.0.7;proto=https;host=a.example`)},
			Origin{addr: "192.0.2.1", proto: "https", host: "a.example"}},
		{"a proxy that hides the client", forwarding{forwarded: one(`for=192.0.2.1, for=unknown;proto=https`)},
			Origin{proto: "https"}},
		{"one that does not name it", forwarding{forwarded: one(`for=192.0.2.1, proto=https`)}, Origin{proto: "https"}},
		{"a quote that does not close",
			forwarding{forwarded: one(`for=198.51.100.9;proto=", for=192.0.2.1;host="a.example"`)},
			Origin{addr: "192.0.2.1", host: "a.example"}},
		{"an element in quotes", forwarding{forwarded: one(`for=192.0.2.1;x="y, for=198.51.100.9;z=q";proto=https`)},
			Origin{addr: "192.0.2.1", proto: "https"}},
		{"no pair", forwarding{forwarded: one("192.0.2.1")}, Origin{BadField: "Forwarded", BadValue: "192.0.2.1"}},
		{"no value", forwarding{forwarded: one("for=")}, Origin{BadField: "Forwarded", BadValue: "for="}},
		{"junk behind a quote", forwarding{forwarded: one(`for="192.0.2.1"x`)},
			Origin{BadField: "Forwarded", BadValue: `for="192.0.2.1"x`}},
		{"twice", forwarding{forwarded: one("for=192.0.2.1;for=10.0.0.1")},
			Origin{BadField: "Forwarded", BadValue: "for=192.0.2.1;for=10.0.0.1"}},
		{"empty elements", forwarding{forwarded: one(`,, for=192.0.2.1 ,;, `)}, Origin{addr: "192.0.2.1"}},
		{"10 KB of quotes and commas", forwarding{forwarded: one(strings.Repeat(`",`, 5<<10) + "for=192.0.2.1")},
			Origin{addr: "192.0.2.1"}},
		{"bad host and scheme", forwarding{forwarded: one(`for=192.0.2.1;proto=ftp;host="a b"`)},
			Origin{addr: "192.0.2.1", BadField: "Forwarded", BadValue: "ftp"}},

		{"a client's own beside X-Forwarded-For",
			forwarding{forwarded: one("for=127.0.0.1;proto=https;host=evil.example"), client: one("192.0.2.2"),
				proto: one("http")},
			Origin{addr: "192.0.2.2", proto: "http"}},
		{"beside X-Forwarded-Proto alone", forwarding{forwarded: one("for=192.0.2.1;proto=https"), proto: one("http"),
			prefix: one("/p")},
			Origin{addr: "192.0.2.1", proto: "https", Prefix: "/p"}},
		{"one that cannot be read", forwarding{forwarded: one(`"`), proto: one("https")},
			Origin{proto: "https", BadField: "Forwarded", BadValue: `"`}},
	} {
		if got := c.said.origin(trustTen); got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestPeerHasTheAddressesOfItsOrigin(t *testing.T) {
	connected := conn.Peer{Addr: "10.0.0.1", Port: "99", ServerName: "10.0.0.2", ServerPort: "8888"}
	with := func(change func(*conn.Peer)) conn.Peer {
		p := connected
		change(&p)
		return p
	}
	for _, c := range []struct {
		o    Origin
		host string
		want conn.Peer
	}{
		{Origin{}, "a.example", connected},
		{Origin{addr: "192.0.2.1", port: "5"}, "a.example", with(func(p *conn.Peer) {
			p.Addr, p.Port = "192.0.2.1", "5"
		})},
		{Origin{addr: "192.0.2.1"}, "a.example", with(func(p *conn.Peer) { p.Addr, p.Port = "192.0.2.1", "" })},
		{Origin{proto: "https"}, "a.example", with(func(p *conn.Peer) { p.Scheme, p.ServerPort = "https", "443" })},
		{Origin{proto: "http"}, "", with(func(p *conn.Peer) { p.Scheme, p.ServerPort = "http", "80" })},
		{Origin{proto: "https"}, "a.example:8443",
			with(func(p *conn.Peer) { p.Scheme, p.ServerPort = "https", "8443" })},
		{Origin{hostPort: "8443"}, "a.example", with(func(p *conn.Peer) { p.ServerPort = "8443" })},
		{Origin{host: "b.example", proto: "https"}, "a.example:1", with(func(p *conn.Peer) {
			p.Scheme, p.Host, p.ServerName, p.ServerPort = "https", "b.example", "b.example", "443"
		})},
		{Origin{host: "b.example", proto: "https", hostPort: "443"}, "", with(func(p *conn.Peer) {
			p.Scheme, p.Host, p.ServerName, p.ServerPort = "https", "b.example", "b.example", "443"
		})},
		{Origin{host: "[::1]", hostPort: "81"}, "", with(func(p *conn.Peer) {
			p.Host, p.ServerName, p.ServerPort = "[::1]:81", "[::1]", "81"
		})},
		{Origin{host: "b.example:8443", hostPort: "1"}, "", with(func(p *conn.Peer) {
			p.Host, p.ServerName, p.ServerPort = "b.example:8443", "b.example", "8443"
		})},
	} {
		c.want.Balances = c.o.addr == ""
		if got := *c.o.Peer(&connected, c.host); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v, host %q:\n got %+v\nwant %+v", c.o, c.host, got, c.want)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add("for=192.0.2.1;proto=https;host=a, for=10.0.0.1", "192.0.2.1, 10.0.0.1", "https", "a:80", "443", "/a")
	f.Add(`for="[2001:db8::1]:80";x="\"", for=unknown`, "", "", "", "", "/%2e%2e/")
	f.Fuzz(func(t *testing.T, forwarded, client, proto, host, port, path string) {
		said := forwarding{[]string{forwarded}, []string{client}, []string{proto}, []string{host}, []string{port},
			[]string{path}}
		o := said.origin(trustTen)
		if o.addr != "" {
			if a, err := netip.ParseAddr(o.addr); err != nil || a.Zone() != "" {
				t.Errorf("addr %q", o.addr)
			}
		}
		if o.proto != "" && o.proto != "http" && o.proto != "https" {
			t.Errorf("proto %q", o.proto)
		}
		if strings.ContainsAny(o.host+o.port+o.hostPort, "/@ \r\n\t\\") ||
			strings.ContainsAny(o.Prefix, "\r\n\\\x00") ||
			strings.Contains(o.Prefix+"/", "/../") || o.Prefix != "" && o.Prefix[0] != '/' ||
			strings.HasPrefix(o.Prefix, "//") {
			t.Errorf("%+v", o)
		}
		// Text from the client does not change the meaning of the element that a proxy appended.
		said[0] = []string{forwarded + ", for=192.0.2.7;proto=http;host=h", `for="10.0.0.9:1"`}
		said[1] = nil
		if o := said.origin(trustTen); o.addr != "192.0.2.7" || o.proto != "http" || o.host != "h" {
			t.Errorf("%q: %+v", said[0], o)
		}
		said[1] = []string{client + ",192.0.2.7, 10.0.0.9:1"}
		if o := said.origin(trustTen); o.addr != "192.0.2.7" {
			t.Errorf("%q: %+v", said[1], o)
		}
	})
}
