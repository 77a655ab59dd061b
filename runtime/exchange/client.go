package exchange

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
)

// accountOf returns the name under which limits count a client, "" if it has no known address.
func accountOf(p *Peer) string {
	if p == nil || p.Addr == "" {
		return ""
	}
	return conn.Network(p.Addr)
}

// Arrived says that a request has come.
func (c *Conn) Arrived() { c.s.loop.Arrived(c) }

// Gone implements conn.Holder.
func (c *Conn) Gone() { c.s.loop.Gone(c) }

// Account returns the name under which limits count the client of the request that applyForwarded was last called for; "": they do not.
func (c *Conn) Account() string {
	if c.proxy != nil && c.proxy.trusted {
		return accountOf(c.proxy.peer)
	}
	return accountOf(c.direct())
}

// Subrequest reports whether c is a connection of the server to itself.
func (c *Conn) Subrequest() bool { return c.subrequest != nil }

// direct returns the peer of the connection itself, whatever a proxy says.
func (c *Conn) direct() *Peer {
	if c.peer == nil {
		c.peer = newPeer(c.Local, c.Remote)
		if t, ok := c.Transport().(*conn.TLSTransport); ok {
			c.peer.Scheme, c.peer.TLS = "https", t.Client()
		}
	}
	return c.peer
}

// AwaitTLS has c, which is not open yet, begin with TLS, behind a header of the PROXY protocol.
func (c *Conn) AwaitTLS() { c.awaitsTLS = true }

// Speaks returns the protocol that c begins with.
func (c *Conn) Speaks() conn.Protocol {
	if c.proxy != nil && c.proxy.awaits {
		return proxyHeader{c}
	}
	return c.behindProxy()
}

// behindProxy returns the protocol that c begins with behind a header of the PROXY protocol.
func (c *Conn) behindProxy() conn.Protocol {
	if c.awaitsTLS {
		return c.s.secure.Handshake(&c.Conn, c, c.secured)
	}
	if c.s.Config.H2C && c.subrequest == nil {
		return prefaceReader{c}
	}
	return c
}

// secured is called when TLS has begun.
func (c *Conn) secured(t *conn.TLSTransport) {
	c.awaitsTLS = false
	c.peer = nil // it said http
	if t.HTTP2() {
		c.Upgrade(prefaceReader{c})
	}
}

// LocalPeer is the client of a unix socket. PEP 3333: SERVER_NAME and SERVER_PORT can never be empty.
var LocalPeer = Peer{ServerName: "localhost", ServerPort: "80"}

func newPeer(local, remote net.Addr) *Peer {
	l, ok := local.(*net.TCPAddr)
	if !ok {
		p := LocalPeer
		if u, ok := local.(*net.UnixAddr); ok {
			p.Socket = u.Name
		}
		return &p
	}
	p := &Peer{ServerName: ipText(l), ServerPort: strconv.Itoa(l.Port)}
	if r, ok := remote.(*net.TCPAddr); ok {
		p.Addr, p.Port = ipText(r), strconv.Itoa(r.Port)
	}
	return p
}

func ipText(a *net.TCPAddr) string { return a.AddrPort().Addr().Unmap().String() }

// preface is what a client that speaks HTTP/2 sends first (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// prefaceReader is the protocol of a connection that may begin with HTTP/2: its first bytes say so. Otherwise it goes on with HTTP/1 or,
// if its client has chosen HTTP/2 by ALPN, closes (RFC 9113 §3.4).
type prefaceReader struct{ *Conn }

// Input implements conn.Protocol.
func (p prefaceReader) Input(data []byte) {
	c := p.Conn
	c.Keep(data)
	got := c.Pending()
	n := min(len(got), len(preface))
	switch {
	case !bytes.Equal(got[:n], []byte(preface)[:n]) && c.Transport() != nil:
		c.Close("no preface of HTTP/2")
	case !bytes.Equal(got[:n], []byte(preface)[:n]):
		c.Upgrade(c)
		c.Input(nil)
	case n == len(preface):
		c.Consume(n)
		c.s.http2(c)
	}
}

// trustedProxy is what stands between a connection's client and us: a proxy that is
// trusted, a path below which the application is seen. Most connections have
// none, and theirs is nil.
type trustedProxy struct {
	awaits  bool // a header of the PROXY protocol has to come first
	trusted bool // the fields that proxies add are believed

	root string // of the last request: what the application is below
	peer *Peer  // the client of the last request, if trusted
	key  []byte // the text about them, as route.AppendForwarded has it
}

// maxForwardKey bounds what is kept for the case that it is said again.
const maxForwardKey = 1 << 10

// trusts says whether a is a proxy that is believed.
func (cfg *Config) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(cfg.Proxies, func(network netip.Prefix) bool { return network.Contains(a) })
}

// proxy decides about a connection from remote.
func (cfg *Config) proxy(remote net.Addr) *trustedProxy {
	trusted := cfg.ProxyUnix
	if a, ok := remote.(*net.TCPAddr); ok {
		trusted = cfg.trusts(a.AddrPort().Addr())
	}
	if !trusted && cfg.RootPath == "" {
		return nil
	}
	return &trustedProxy{trusted: trusted, awaits: trusted && cfg.ProxyProtocol, root: cfg.RootPath}
}

// proxyHeader is the protocol of a connection before the header of the PROXY protocol has come.
type proxyHeader struct{ *Conn }

// Input implements conn.Protocol. TLS or HTTP begins behind the header.
func (h proxyHeader) Input(data []byte) {
	c, s := h.Conn, h.s
	c.Keep(data)
	buf := c.Pending()
	header, n, err := conn.ParseProxyHeader(buf)
	switch {
	case err == http1.ErrNeedMore:
	case err != nil:
		if s.unannounced.Now() {
			s.Config.LogClient(logfile.Warning, c.String(), fmt.Sprintf("connection closed: %v: %s; let the proxy send one (send-proxy), or remove --proxy-protocol",
				err, conn.Excerpt(buf[:min(len(buf), conn.MaxProxyLine)])))
		}
		c.Close("no PROXY header")
	default:
		s.applyProxyHeader(c, &header)
		c.Consume(n)
		p := c.behindProxy()
		c.Upgrade(p)
		p.Input(nil)
	}
}

// applyProxyHeader makes c the connection of whom its proxy has announced. Fields
// that come with it are then that client's own, and believed if it is a
// trusted proxy itself.
func (s *Server) applyProxyHeader(c *Conn, h *conn.ProxyHeader) {
	switch h.Kind {
	case conn.ProxyLocal:
		return
	case conn.ProxyAddresses:
		c.Remote, c.Local = net.TCPAddrFromAddrPort(h.From), net.TCPAddrFromAddrPort(h.To)
		c.proxy = s.Config.proxy(c.Remote)
	case conn.ProxyUnix:
		c.Remote = &net.UnixAddr{Net: "unix"}
		c.proxy.trusted = false
	case conn.ProxyUnknown:
		c.proxy.trusted = false
	}
	if c.proxy != nil {
		c.proxy.awaits = false
	}
	if s.Set.Debug >= 1 {
		s.tracef("%s is announced by its proxy", c)
	}
}

// applyForwarded finds the client of a request of a trusted proxy. A proxy mostly
// says the same again on a connection, and that costs a comparison.
func (s *Server) applyForwarded(x *Exchange) {
	q, c := x.req, x.client
	f := c.proxy
	if !f.trusted {
		return
	}
	q.forwarded = route.AppendForwarded(q.forwarded[:0], &q.parsed, q.Head)
	if f.peer != nil && bytes.Equal(q.forwarded, f.key) {
		return
	}
	f.key = append(f.key[:0], q.forwarded...)
	if len(f.key) > maxForwardKey {
		f.key = nil
	}
	o, host := route.Believe(q.forwarded, s.Config.trusts)
	if o.BadField != "" {
		s.warnUnread(c, o.BadField+": "+conn.Excerpt([]byte(o.BadValue)))
	}
	f.peer = o.Peer(c.direct(), host)
	f.root = s.Config.RootPath
	if o.Prefix != "" {
		f.root = o.Prefix
	}
}

// maxUnread is how many values of forwarding fields the log names that the server cannot read.
const maxUnread = 16

// warnUnread logs a field that the trusted proxy c sent and that is ignored. Each field with its value gets one line.
func (s *Server) warnUnread(c *Conn, field string) {
	if s.unread[field] || len(s.unread) == maxUnread {
		return
	}
	s.unread[field] = true
	s.Config.LogClient(logfile.Warning, c.String(), "ignored the field "+field+" of a trusted proxy; let the proxy send a value that RFC 7239 allows")
}

// dropForged removes the fields that only a trusted proxy may set (http1.IsForwarding). Where some site or mount has
// users, a proxy cannot set Remote-User either: an application may see it on a path that needs no password, too. Fields
// are removed from the head itself, which others parse again: another process, the next worker of a WebSocket. A
// subrequest has what is left of those of its client.
func (s *Server) dropForged(x *Exchange) {
	q, c := x.req, x.client
	untrusted := c.subrequest == nil && (c.proxy == nil || !c.proxy.trusted)
	if !untrusted && !s.table.users {
		return
	}
	forged := func(f http1.Field) bool {
		name := f.Name.In(q.Head)
		return untrusted && http1.IsForwarding(name) || s.table.users && http1.IsSpelled(name, http1.RemoteUser)
	}
	if !slices.ContainsFunc(q.parsed.Fields, forged) {
		return
	}
	if untrusted && s.undeclared.Once(time.Hour) {
		s.warnUndeclared(c)
	}
	q.Head = append(q.parsed.AppendWithout(nil, q.Head, forged), "\r\n"...)
	q.parsed.HeadLen = len(q.Head)
}

// warnUndeclared tells the operator what to do if c is a proxy.
func (s *Server) warnUndeclared(c *Conn) {
	addr := c.direct().Addr
	if addr == "" {
		addr = "unix"
	}
	s.Config.LogClient(logfile.Info, c.String(), fmt.Sprintf(
		"its fields Forwarded, X-Forwarded-*, X-Real-IP and Remote-User are removed, because %s is not a trusted proxy; "+
			"if your proxy has this address, add --forwarded-allow-ips %[1]s", addr))
}
