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

// Client is the state that the exchanges of a connection share. An HTTP/1 connection embeds a Client. If the connection
// changes to HTTP/2, it keeps the same Client. A Client may be used only on the event loop.
type Client struct {
	conn.Conn

	subrequest *Origin
	proxy      *trustedProxy // nil if the client is not a proxy and the server has no path prefix
	peer       *Peer         // the peer of the connection itself; set by the method direct

	Expected conn.Expected     // result of conn.Acceptor.Expect
	Counts   conn.AcceptAction // how the acceptor counts the connection
	Crowds   bool              // the limit conn.AcceptConfig.MaxPerAddress includes this connection
	requests uint32            // number of logged requests
	Active   int32             // number of active exchanges, including those of reset streams
}

// InitClient initializes c, a zero Client, with the socket fd, which c then owns; fd is -1 if c becomes a virtual
// connection (conn.OpenVirtual). If awaitsHeader is true and the client is a trusted proxy, the connection must begin
// with a header of the PROXY protocol. An error means that the server does not know addresses of this kind.
func (s *Server) InitClient(c *Client, fd int, local, remote net.Addr, awaitsHeader bool) error {
	if !conn.IsAddress(local, remote) {
		return fmt.Errorf("refused a connection from %v to %v: the addresses are neither of TCP nor of a unix socket",
			remote, local)
	}
	c.proxy, c.Counts = s.Config.proxy(remote), conn.Take
	if c.proxy != nil && !awaitsHeader {
		c.proxy.awaits = false
	}
	c.Init(fd, local, remote)
	return nil
}

// InitSubrequest initializes c, a zero Client, with the socket fd, which c then owns. The connection carries requests
// that the server sends to itself on behalf of the request that o describes. InitSubrequest is safe for concurrent use.
func (c *Client) InitSubrequest(fd int, o *Origin) {
	peer := o.Peer
	c.peer, c.subrequest = &peer, o
	if o.Root != "" {
		c.proxy = &trustedProxy{root: o.Root}
	}
	c.Init(fd, &net.UnixAddr{Net: "unix"}, &net.UnixAddr{Net: "unix"})
}

func (s *Server) Arrived(c *Client) { s.loop.Arrived(c) }

func (s *Server) Gone(c *Client) { s.loop.Gone(c) }

func (c *Client) Account() string {
	if c.IsProxy() {
		return c.proxy.peer.Account()
	}
	return c.direct().Account()
}

func (c *Client) IsProxy() bool { return c.proxy != nil && c.proxy.trusted }

func (c *Client) Subrequest() bool { return c.subrequest != nil }

// direct returns the peer of the connection itself, and ignores what a proxy reports about the client.
func (c *Client) direct() *Peer {
	if c.peer == nil {
		c.peer = newPeer(c.Local, c.Remote)
		c.peer.TLS = c.TLS()
		c.peer.HTTPS = c.peer.TLS != nil
	}
	return c.peer
}

// Secured discards the peer after the TLS handshake, so that the method direct makes a new peer with the scheme https.
func (c *Client) Secured() { c.peer = nil }

// LocalPeer is the client of a unix socket. SERVER_NAME and SERVER_PORT must not be empty (PEP 3333).
var LocalPeer = Peer{ServerName: "localhost", ServerPort: "80"}

func newPeer(local, remote net.Addr) *Peer {
	p := LocalPeer
	switch l := local.(type) {
	case *net.UnixAddr:
		p.Socket = l.Name
	case *net.TCPAddr:
		p.ServerName, p.ServerPort = ipText(l), strconv.Itoa(l.Port)
	}
	if r, ok := remote.(*net.TCPAddr); ok {
		p.Addr, p.Port = ipText(r), strconv.Itoa(r.Port)
	}
	return &p
}

func ipText(a *net.TCPAddr) string { return a.AddrPort().Addr().Unmap().String() }

// trustedProxy is the state of a connection from a trusted proxy. If Config.RootPath is set, every connection has one.
type trustedProxy struct {
	awaits  bool   // the connection must begin with a header of the PROXY protocol
	trusted bool   // the server uses the forwarding fields of this connection
	door    bool   // the connection came through a door (PeerField)
	root    string // path prefix of the application in the last request
	peer    *Peer  // the client of the last request, if the proxy is trusted
	key     []byte // forwarding fields of the last request, as formatted by route.AppendForwarded
}

const maxForwardKey = 1 << 10

func (cfg *Config) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(cfg.Proxies, func(network netip.Prefix) bool { return network.Contains(a) })
}

func (cfg *Config) proxy(remote net.Addr) *trustedProxy {
	trusted := false
	switch a := remote.(type) {
	case *net.TCPAddr:
		trusted = cfg.trusts(a.AddrPort().Addr())
	case *net.UnixAddr:
		trusted = cfg.ProxyUnix
	}
	if !trusted && cfg.RootPath == "" {
		return nil
	}
	return &trustedProxy{trusted: trusted, awaits: trusted && cfg.ProxyProtocol, root: cfg.RootPath}
}

func (c *Client) AwaitsProxyHeader() bool { return c.proxy != nil && c.proxy.awaits }

// Trusted returns false only if c has the state of a trustedProxy but is not trusted (see Distrust).
func (c *Client) Trusted() bool { return c.proxy == nil || c.proxy.trusted }

// reports returns true if the server believes the fields that only a trusted proxy may set. A subrequest contains these
// fields only if the server believed them in the client's request.
func (c *Client) reports() bool { return c.subrequest != nil || c.IsProxy() }

func (c *Client) Distrust() {
	if c.proxy != nil {
		c.proxy.trusted = false
	}
}

// ApplyProxyHeader sets the addresses of c from a PROXY header. Forwarding fields on the connection are then from the
// client in the header, and are used only if this client is a trusted proxy, too.
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

// applyForwarded sets the client of a request from a trusted proxy. It does not parse forwarding fields again if they
// equal those of the previous request.
func (s *Server) applyForwarded(x *Exchange) {
	q, c := x.req, x.client
	f := c.proxy
	if !f.trusted || f.door {
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

const maxUnread = 16

// warnUnread logs, once for each value, that the server ignores a field of the trusted proxy c.
func (s *Server) warnUnread(c *Client, field string) {
	if s.unread[field] || len(s.unread) == maxUnread {
		return
	}
	s.unread[field] = true
	s.Config.LogClient(logfile.Warning, c.String(), "ignored the field "+field+
		" of a trusted proxy; let the proxy send a value that RFC 7239 allows")
}

// dropForged removes the fields that only a trusted proxy may set (http1.IsForwarding). If a site or mount has users,
// not even a trusted proxy may set Remote-User, because an application could mistake the field for a login on a path
// without a password. dropForged changes the head itself, because workers and other processes parse the head again.
func (s *Server) dropForged(x *Exchange) {
	q, c := x.req, x.client
	untrusted := !c.reports()
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
	q.Head = q.parsed.AppendWithout(nil, q.Head, forged)
}

func (s *Server) warnUndeclared(c *Client) {
	addr := c.direct().Addr
	if addr == "" {
		addr = "unix"
	}
	s.Config.LogClient(logfile.Info, c.String(), fmt.Sprintf(
		"its fields Forwarded, X-Forwarded-*, X-Real-IP and Remote-User are removed, because %s is not a "+
			"trusted proxy; if your proxy has this address, add --forwarded-allow-ips %[1]s", addr))
}
