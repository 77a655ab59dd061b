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

// Client is what the exchanges of a connection share: where the requests come from, and what a trusted proxy says of that. The
// connection of HTTP/1 embeds it, and so one of HTTP/2 has it. It belongs to the event loop.
type Client struct {
	conn.Conn

	subrequest *Origin       // of requests of the server to itself; nil for a client
	proxy      *trustedProxy // a proxy or a path between the client and the server; nil if there is none
	peer       *Peer         // of the connection itself; nil until direct makes it

	Expected conn.Expected // of the acceptor
	Counts   conn.Verdict  // how the acceptor counts the connection
	requests uint32        // requests that were logged
}

// InitClient gives c, which is empty, a socket that it owns from now on. awaitsHeader says that a header of the PROXY protocol
// comes first if the client is a proxy that must send one.
func (s *Server) InitClient(c *Client, fd int, local, remote net.Addr, awaitsHeader bool) {
	c.proxy, c.Counts = s.Config.proxy(remote), conn.Take
	if c.proxy != nil && !awaitsHeader {
		c.proxy.awaits = false
	}
	c.Init(fd, local, remote)
}

// InitSubrequest gives c, which is empty, a socket that it owns from now on, for requests of the server to itself on behalf of o. It
// is safe for concurrent use.
func (c *Client) InitSubrequest(fd int, o *Origin) {
	peer := o.Peer
	c.peer, c.subrequest = &peer, o
	if o.Root != "" {
		c.proxy = &trustedProxy{root: o.Root}
	}
	c.Init(fd, &net.UnixAddr{Net: "unix"}, &net.UnixAddr{Net: "unix"})
}

// Arrived tells the acceptor that a request of c has come.
func (s *Server) Arrived(c *Client) { s.loop.Arrived(c) }

// Gone tells the acceptor that c needs no place any longer.
func (s *Server) Gone(c *Client) { s.loop.Gone(c) }

// Account returns the name under which limits count the client of the request that applyForwarded was last called for; "": they do not.
func (c *Client) Account() string {
	if c.proxy != nil && c.proxy.trusted {
		return accountOf(c.proxy.peer)
	}
	return accountOf(c.direct())
}

// Subrequest reports whether c is a connection of the server to itself.
func (c *Client) Subrequest() bool { return c.subrequest != nil }

// direct returns the peer of the connection itself, whatever a proxy says.
func (c *Client) direct() *Peer {
	if c.peer == nil {
		c.peer = newPeer(c.Local, c.Remote)
		if t, ok := c.Transport().(*conn.TLSTransport); ok {
			c.peer.Scheme, c.peer.TLS = "https", t.Client()
		}
	}
	return c.peer
}

// Secured notes that TLS has begun.
func (c *Client) Secured() { c.peer = nil } // its scheme was http

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

// AwaitsProxyHeader reports whether c must begin with a header of the PROXY protocol.
func (c *Client) AwaitsProxyHeader() bool { return c.proxy != nil && c.proxy.awaits }

// Trusted reports whether c is a trusted proxy, or has nothing between it and the server.
func (c *Client) Trusted() bool { return c.proxy == nil || c.proxy.trusted }

// Distrust ignores the forwarding fields of c.
func (c *Client) Distrust() {
	if c.proxy != nil {
		c.proxy.trusted = false
	}
}

// ApplyProxyHeader sets the addresses of c from a header of the PROXY protocol. Forwarding fields are then those of the announced
// client, and count if that is a trusted proxy itself.
func (s *Server) ApplyProxyHeader(c *Client, h *conn.ProxyHeader) {
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
func (s *Server) warnUnread(c *Client, field string) {
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
func (s *Server) warnUndeclared(c *Client) {
	addr := c.direct().Addr
	if addr == "" {
		addr = "unix"
	}
	s.Config.LogClient(logfile.Info, c.String(), fmt.Sprintf(
		"its fields Forwarded, X-Forwarded-*, X-Real-IP and Remote-User are removed, because %s is not a trusted proxy; "+
			"if your proxy has this address, add --forwarded-allow-ips %[1]s", addr))
}
