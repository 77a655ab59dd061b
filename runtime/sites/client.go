package sites

import (
	"bytes"
	"net"
	"strconv"

	"fapws/runtime/auth"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/protocol/http1"
	"fapws/runtime/protocol/http2"
)

// Client is a connection with what the server has to know of its client. It is the conn.Protocol of the connection as long as that
// speaks HTTP/1. There may be many thousand idle ones.
type Client struct {
	http1.Conn
	s *Sites

	subrequest *exchange.Origin // of requests of the server to itself; nil: it is a client
	proxy      *trustedProxy    // a proxy or a path that is before it, or nil
	peer       *exchange.Peer

	Expected conn.Expected // of the acceptor
	requests uint32        // there have been, as far as they are logged
	Counts   conn.Verdict  // as what the acceptor counts it
	awaits   bool          // it begins with TLS
	own      bool          // it is the server, which tries its application: no password is asked for
}

var _ conn.Protocol = (*Client)(nil)

// clientOf returns the client whose connection c is.
func clientOf(c *conn.Conn) *Client {
	if m, ok := c.Protocol().(*multiplexed); ok {
		return m.client
	}
	return c.Protocol().(*Client)
}

// accountOf returns the name under which limits count a client, "" if it has no known address.
func accountOf(p *exchange.Peer) string {
	if p == nil || p.Addr == "" {
		return ""
	}
	return auth.Network(p.Addr)
}

// Closed implements conn.Protocol.
func (c *Client) Closed() {
	c.s.host.Arrived(c)
	c.Conn.Closed()
}

// Gone implements conn.Protocol.
func (c *Client) Gone() { c.s.host.Gone(c) }

// Subrequest reports whether c is a connection of the server to itself.
func (c *Client) Subrequest() bool { return c.subrequest != nil }

// Own makes c a connection of the server that tries its application: it needs neither a password nor a session.
func (c *Client) Own() { c.own = true }

// Refuse makes c a connection that is told why it is not served.
func (c *Client) Refuse() { c.proxy, c.Counts = nil, conn.Reject }

// Client returns what applications are told of the client of the request that
// applyForwarded was last called for.
func (c *Client) Client() *exchange.Peer {
	if c.proxy != nil && c.proxy.trusted {
		return c.proxy.peer
	}
	return c.direct()
}

// direct returns the peer of the connection itself, whatever a proxy says.
func (c *Client) direct() *exchange.Peer {
	if c.peer == nil {
		c.peer = newPeer(c.Local, c.Remote)
		if t, ok := c.Transport().(*conn.TLSTransport); ok {
			c.peer.Scheme, c.peer.TLS = "https", t.Client()
		}
	}
	return c.peer
}

// AwaitTLS has c, which is not open yet, begin with TLS, behind a header of the PROXY protocol.
func (c *Client) AwaitTLS() { c.awaits = true }

// Speaks returns the protocol that c begins with.
func (c *Client) Speaks() conn.Protocol {
	if c.proxy != nil && c.proxy.awaits {
		return proxyHeader{c}
	}
	return c.behindProxy()
}

// behindProxy returns the protocol that c begins with behind a header of the PROXY protocol.
func (c *Client) behindProxy() conn.Protocol {
	if c.awaits {
		return c.s.secure.Handshake(&c.Conn.Conn, c, c.secured)
	}
	if c.s.cfg.H2C && c.subrequest == nil {
		return prefaceReader{c}
	}
	return c
}

// secured is called when TLS has begun.
func (c *Client) secured(t *conn.TLSTransport) {
	c.awaits = false
	c.peer = nil // it said http
	if t.HTTP2() {
		c.Upgrade(prefaceReader{c})
	}
}

func newPeer(local, remote net.Addr) *exchange.Peer {
	l, ok := local.(*net.TCPAddr)
	if !ok {
		// PEP 3333: SERVER_NAME and SERVER_PORT can never be empty.
		return &exchange.Peer{ServerName: "localhost", ServerPort: "80"}
	}
	p := &exchange.Peer{ServerName: ipText(l), ServerPort: strconv.Itoa(l.Port)}
	if r, ok := remote.(*net.TCPAddr); ok {
		p.Addr, p.Port = ipText(r), strconv.Itoa(r.Port)
	}
	return p
}

func ipText(a *net.TCPAddr) string {
	if a.Zone != "" {
		return a.IP.String() + "%" + a.Zone
	}
	return a.IP.String()
}

// prefaceReader is the protocol of a connection that may begin with HTTP/2: its first bytes say so. Otherwise it goes on with HTTP/1 or,
// if its client has chosen HTTP/2 by ALPN, closes (RFC 9113 §3.4).
type prefaceReader struct{ *Client }

// Input implements conn.Protocol.
func (p prefaceReader) Input(data []byte) {
	c := p.Client
	c.Keep(data)
	got := c.Pending()
	n := min(len(got), len(http2.Preface))
	switch {
	case !bytes.Equal(got[:n], []byte(http2.Preface)[:n]) && c.Transport() != nil:
		c.Close("no preface of HTTP/2")
	case !bytes.Equal(got[:n], []byte(http2.Preface)[:n]):
		c.Upgrade(c)
		c.Input(nil)
	case n == len(http2.Preface):
		c.Consume(n)
		m := &multiplexed{client: c}
		m.Begin(&c.s.http2, &c.Conn.Conn, m)
		m.Input(nil)
	}
}

// multiplexed is the protocol of a connection that speaks HTTP/2, and accounts for its client.
type multiplexed struct {
	http2.Conn
	client *Client
}

var _ conn.Protocol = (*multiplexed)(nil)

// Account implements Self of package http2.
func (m *multiplexed) Account() string { return accountOf(m.client.Client()) }

// Closed implements conn.Protocol.
func (m *multiplexed) Closed() {
	m.client.Closed()
	m.Conn.Closed()
}

// Gone implements conn.Protocol.
func (m *multiplexed) Gone() { m.client.Gone() }
