package exchange

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// tcpClient returns a client of s whose connection comes from a trusted proxy, 192.0.2.1.
func tcpClient(s *Server) *Client {
	s.Config.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	address := func(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }
	c := new(Client)
	if err := s.InitClient(c, -1, address("192.0.2.80:443"), address("192.0.2.1:4711"), true); err != nil {
		panic(err)
	}
	return c
}

func TestClientWhoseAddressIsUnknownIsRefusedAndNeverTrusted(t *testing.T) {
	s := &Server{Config: Config{ProxyUnix: true, RootPath: "/a"}}
	tcp, udp, socket := new(net.TCPAddr), new(net.UDPAddr), new(net.UnixAddr)
	for _, c := range []struct {
		local, remote net.Addr
		known         bool
	}{
		{tcp, tcp, true}, {socket, socket, true}, {udp, udp, false}, {tcp, socket, false}, {socket, tcp, false},
		{socket, udp, false}, {nil, nil, false}, {socket, nil, false},
	} {
		err := s.InitClient(new(Client), -1, c.local, c.remote, false)
		checktest.Equalf(t, err == nil, c.known, "%T, %T: %v", c.local, c.remote, err)
	}
	for _, remote := range []net.Addr{udp, nil} {
		checktest.Truef(t, !s.Config.proxy(remote).trusted, "%T is trusted", remote)
	}
}

func TestExchangeHasTheConnectionOfItsClientUntilTheClientHasLeft(t *testing.T) {
	s := new(Server)
	client := tcpClient(s)
	x := s.New(client, new(Sub))
	y := x.Sub(new(Request), Memory{}, nil, &Sub{Parent: x})
	checktest.Truef(t, x.Conn() == &client.Conn && y.Conn() == &client.Conn, "%v, %v", x.Conn(), y.Conn())
	x.Detach()
	checktest.Truef(t, x.Conn() == nil && y.Conn() == nil, "%v, %v", x.Conn(), y.Conn())
}

// A proxy sends a local header on a connection for its own health checks, so this connection keeps its addresses.
func TestProxyHeaderSetsTheAddressesAndTheTrust(t *testing.T) {
	from, to := netip.MustParseAddrPort("198.51.100.7:1"), netip.MustParseAddrPort("198.51.100.80:2")
	for _, c := range []struct {
		header  conn.ProxyHeader
		remote  string
		trusted bool
		traced  bool
	}{
		{conn.ProxyHeader{Kind: conn.ProxyLocal}, "192.0.2.1:4711", true, false},
		{conn.ProxyHeader{Kind: conn.ProxyUnknown}, "192.0.2.1:4711", false, true},
		{conn.ProxyHeader{Kind: conn.ProxyUnix}, "", false, true},
		{conn.ProxyHeader{Kind: conn.ProxyAddresses, From: from, To: to}, "198.51.100.7:1", false, true},
		{conn.ProxyHeader{Kind: conn.ProxyAddresses, From: netip.MustParseAddrPort("192.0.2.1:3"), To: to},
			"192.0.2.1:3", true, true},
	} {
		var lines []string
		s := &Server{Set: &conn.Set{Debug: 1, Log: func(_ logfile.Level, format string, args ...any) {
			lines = append(lines, fmt.Sprintf(format, args...))
		}}}
		client := tcpClient(s)
		s.ApplyProxyHeader(client, &c.header)
		remote := client.Remote.String()
		checktest.Truef(t, remote == c.remote && client.IsProxy() == c.trusted && len(lines) > 0 == c.traced,
			"%+v: %q, trusted: %v, %q", c.header, remote, client.IsProxy(), lines)
	}
}

// The connection of an open WebSocket can create a peer without a login again, so the peer needs no memory until then.
func TestOpenWebSocketKeepsItsPeerOnlyForALogin(t *testing.T) {
	for _, user := range []string{"", "ann"} {
		s := new(Server)
		client := tcpClient(s)
		x := s.New(client, new(Sub))
		if user != "" {
			x.LogIn(user, Basic)
		}
		before := x.clientText()
		x.ChangeProtocol(x, nil)
		kept := x.from != nil || client.peer != nil
		checktest.Truef(t, kept == (user != "") && (!kept || x.from.User == user), "%q: peers %v, %v", user, x.from,
			client.peer)
		after := x.clientText()
		checktest.Truef(t, after == before && strings.Contains(after, "192.0.2.1"), "%q, then %q", before, after)
	}
}

func TestLogNamesTheUnixSocketWhoseForwardingFieldsAreRemoved(t *testing.T) {
	logged := ""
	s := &Server{Config: Config{LogClient: func(_ logfile.Level, _, line string) { logged = line }}}
	s.warnUndeclared(new(Client))
	checktest.Truef(t, strings.Contains(logged, "because unix is not") && strings.HasSuffix(logged, " unix"), "%s", logged)
}

func TestServerIsToldWhenADescriptorForANewConnectionIsFree(t *testing.T) {
	free := false
	d := Descriptors{Shares: conn.Shares{Max: 1, Eases: func() { free = true }}}
	d.Opened(1)
	checktest.Truef(t, !d.HasRoom(), "the only descriptor is in use")
	d.Opened(-1)
	checktest.Truef(t, free && d.HasRoom(), "the connection is closed; the server is told: %v", free)
}

// An HTTP/2 stream counts the compressed head.
func TestHeadOfAResponseToAMalformedHTTP2RequestIsNotCountedAsHTTP1(t *testing.T) {
	s := serving(t, Mount{Prefix: "/", Source: Memory{}})
	x := s.New(tcpClient(s), new(Sub))
	x.Malformed(http1.HTTP2, nil)
	x.AppendHead(nil, &http1.ResponseHead{Status: 400})
	checktest.Equal(t, x.Out.Framed, 0)
}

func TestLimitOfAnyNameIsLoggedOnce(t *testing.T) {
	s := serving(t, Mount{Prefix: "/", Source: Memory{}})
	lines := 0
	s.Config.LogClient = func(_ logfile.Level, _, line string) {
		lines++
		checktest.Equal(t, line, "sent 431: too many: size 3 or more, limit 2 (--limit-of-tomorrow)")
	}
	x := s.New(tcpClient(s), new(Sub))
	for range 2 {
		x.NoteLimit("sent 431: too many", Limit{Setting: "--limit-of-tomorrow", Max: 2, Size: 3})
	}
	checktest.Equal(t, lines, 1)
}
