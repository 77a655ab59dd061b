package route

import (
	"cmp"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
)

func trustTen(a netip.Addr) bool {
	return contains([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, a.Unmap())
}

func TestForwardingFieldsNameTheOrigin(t *testing.T) {
	text := checktest.Try(os.ReadFile("testdata/forwarded.txt")).Must(t)
	var said forwarding
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if want, found := strings.CutPrefix(line, "\t"); found {
			checktest.Equalf(t, described(said.origin(trustTen)), want, "%q", said)
			said = forwarding{}
		} else if name, value, found := strings.Cut(line, ": "); found && line[0] != '#' {
			i := slices.Index(forwardFields[:], strings.ToLower(name))
			said[i] = append(said[i], strings.Trim(value, "`"))
		}
	}
}

func described(o ForwardedClient) string {
	var all []string
	for _, one := range [...][2]string{{"addr", o.addr}, {"port", o.port}, {"proto", o.proto}, {"host", o.host},
		{"hostPort", o.hostPort}, {"Prefix", o.Prefix}, {"BadField", o.BadField}, {"BadValue", o.BadValue}} {
		if one[1] != "" {
			all = append(all, one[0]+"="+one[1])
		}
	}
	return cmp.Or(strings.Join(all, " "), "nothing")
}

func TestLongForwardingFieldsNameTheOrigin(t *testing.T) {
	for _, c := range []struct {
		field int
		value string
		want  ForwardedClient
	}{
		{client, strings.Repeat("198.51.100.9,", 800) + "192.0.2.1", ForwardedClient{addr: "192.0.2.1"}},
		{client, strings.Repeat("x", 10<<10) + ", 192.0.2.1", ForwardedClient{addr: "192.0.2.1"}},
		{client, "192.0.2.1" + strings.Repeat(",10.0.0.1", 1000), ForwardedClient{addr: "192.0.2.1"}},
		{client, "192.0.2.1\x00", ForwardedClient{BadField: "X-Forwarded-For", BadValue: "192.0.2.1\x00"}},
		{prefix, "/" + strings.Repeat("a", 256),
			ForwardedClient{BadField: "X-Forwarded-Prefix", BadValue: "/" + strings.Repeat("a", 256)}},
		{forwarded, strings.Repeat(`",`, 5<<10) + "for=192.0.2.1", ForwardedClient{addr: "192.0.2.1"}},
	} {
		var said forwarding
		said[c.field] = []string{c.value}
		checktest.Equalf(t, said.origin(trustTen), c.want, "%.100q", said)
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
		o    ForwardedClient
		host string
		want conn.Peer
	}{
		{ForwardedClient{}, "a.example", connected},
		{ForwardedClient{addr: "192.0.2.1", port: "5"}, "a.example", with(func(p *conn.Peer) { p.Addr, p.Port = "192.0.2.1", "5" })},
		{ForwardedClient{addr: "192.0.2.1"}, "a.example", with(func(p *conn.Peer) { p.Addr, p.Port = "192.0.2.1", "" })},
		{ForwardedClient{proto: "https"}, "a.example", with(func(p *conn.Peer) { p.HTTPS, p.ServerPort = true, "443" })},
		{ForwardedClient{proto: "http"}, "", with(func(p *conn.Peer) { p.HTTPS, p.ServerPort = false, "80" })},
		{ForwardedClient{proto: "https"}, "a.example:8443", with(func(p *conn.Peer) { p.HTTPS, p.ServerPort = true, "8443" })},
		{ForwardedClient{hostPort: "8443"}, "a.example", with(func(p *conn.Peer) { p.ServerPort = "8443" })},
		{ForwardedClient{host: "b.example", proto: "https"}, "a.example:1", with(func(p *conn.Peer) {
			p.HTTPS, p.Host, p.ServerName, p.ServerPort = true, "b.example", "b.example", "443"
		})},
		{ForwardedClient{host: "b.example", proto: "https", hostPort: "443"}, "", with(func(p *conn.Peer) {
			p.HTTPS, p.Host, p.ServerName, p.ServerPort = true, "b.example", "b.example", "443"
		})},
		{ForwardedClient{host: "[::1]", hostPort: "81"}, "", with(func(p *conn.Peer) {
			p.Host, p.ServerName, p.ServerPort = "[::1]:81", "[::1]", "81"
		})},
		{ForwardedClient{host: "b.example:8443", hostPort: "1"}, "", with(func(p *conn.Peer) {
			p.Host, p.ServerName, p.ServerPort = "b.example:8443", "b.example", "8443"
		})},
	} {
		c.want.Balances = c.o.addr == ""
		checktest.Equalf(t, *c.o.Peer(&connected, c.host), c.want, "%+v, host %q", c.o, c.host)
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
			a, err := netip.ParseAddr(o.addr)
			checktest.Truef(t, err == nil && a.Zone() == "", "addr %q", o.addr)
		}
		checktest.Truef(t, o.proto == "" || o.proto == "http" || o.proto == "https", "proto %q", o.proto)
		checktest.Truef(t, !strings.ContainsAny(o.host+o.port+o.hostPort, "/@ \r\n\t\\") &&
			!strings.ContainsAny(o.Prefix, "\r\n\\\x00") && !strings.Contains(o.Prefix+"/", "/../") &&
			(o.Prefix == "" || o.Prefix[0] == '/') && !strings.HasPrefix(o.Prefix, "//"), "%+v", o)
		// Text from the client does not change the meaning of the element that a proxy appended.
		said[0] = []string{forwarded + ", for=192.0.2.7;proto=http;host=h", `for="10.0.0.9:1"`}
		said[1] = nil
		o = said.origin(trustTen)
		checktest.Truef(t, o.addr == "192.0.2.7" && o.proto == "http" && o.host == "h", "%q: %+v", said[0], o)
		said[1] = []string{client + ",192.0.2.7, 10.0.0.9:1"}
		o = said.origin(trustTen)
		checktest.Equalf(t, o.addr, "192.0.2.7", "%q: %+v", said[1], o)
	})
}
