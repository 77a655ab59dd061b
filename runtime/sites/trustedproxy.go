package sites

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
)

// trustedProxy is what stands between a connection's client and us: a proxy that is
// trusted, a path below which the application is seen. Most connections have
// none, and theirs is nil.
type trustedProxy struct {
	awaits  bool // a header of the PROXY protocol has to come first
	trusted bool // the fields that proxies add are believed

	root string         // of the last request: what the application is below
	peer *exchange.Peer // the client of the last request, if trusted
	key  []byte         // what was said of them, as route.AppendForwarded has it
}

// maxForwardKey bounds what is kept for the case that it is said again.
const maxForwardKey = 1 << 10

// trusts says whether a is a proxy that is believed.
func (cfg *Config) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, network := range cfg.Proxies {
		if network.Contains(a) {
			return true
		}
	}
	return false
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
type proxyHeader struct{ *Client }

// Input implements conn.Protocol. TLS or HTTP begins behind the header.
func (h proxyHeader) Input(data []byte) {
	c, s := h.Client, h.s
	c.Keep(data)
	buf := c.Pending()
	header, n, err := conn.ParseProxyHeader(buf)
	switch {
	case err == http1.ErrNeedMore:
	case err != nil:
		if s.unannounced.Now() {
			s.cfg.LogClient(logfile.Warning, c.String(), fmt.Sprintf("connection closed: %v: %s; let the proxy send one (send-proxy), or remove --proxy-protocol",
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
func (s *Sites) applyProxyHeader(c *Client, h *conn.ProxyHeader) {
	switch h.Kind {
	case conn.ProxyLocal:
		return
	case conn.ProxyAddresses:
		c.Remote, c.Local = net.TCPAddrFromAddrPort(h.From), net.TCPAddrFromAddrPort(h.To)
		c.proxy = s.cfg.proxy(c.Remote)
	case conn.ProxyUnix:
		c.Remote = &net.UnixAddr{Net: "unix"}
		c.proxy.trusted = false
	case conn.ProxyUnknown:
		c.proxy.trusted = false
	}
	if c.proxy != nil {
		c.proxy.awaits = false
	}
	if s.cfg.Debug >= 1 {
		s.tracef("%s is announced by its proxy", c)
	}
}

// applyForwarded finds the client of a request of a trusted proxy. A proxy mostly
// says the same again on a connection, and that costs a comparison.
func (s *Sites) applyForwarded(x *Exchange) {
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
	o, host := route.Believe(q.forwarded, s.cfg.trusts)
	if o.BadField != "" {
		s.logf(logfile.Debug, "%s: %s is ignored: %s", c, o.BadField, conn.Excerpt([]byte(o.BadValue)))
	}
	f.peer = o.Peer(c.direct(), host)
	f.root = s.cfg.RootPath
	if o.Prefix != "" {
		f.root = o.Prefix
	}
}

// remoteUser is the field by which applications behind a proxy, and those of ASGI, learn of the user. Where some site or mount has users,
// clients cannot send it: an application may see it on a path that needs no password, too.
const remoteUser = "remote-user"

// dropForged removes the fields that only the server, or a trusted proxy, may set: that of the user, and forwarding fields. They are
// removed from the head itself, which others parse again: another process, the next worker of a WebSocket. A subrequest has what is left
// of those of its client.
func (s *Sites) dropForged(x *Exchange) {
	q, c := x.req, x.client
	forwarded := q.parsed.Forwarded && c.subrequest == nil && (c.proxy == nil || !c.proxy.trusted)
	if !forwarded && !s.table.users {
		return
	}
	forged := func(f http1.Field) bool {
		name := f.Name.In(q.Head)
		return s.table.users && http1.IsSpelled(name, remoteUser) || forwarded && http1.IsForwarding(name)
	}
	if !slices.ContainsFunc(q.parsed.Fields, forged) {
		return
	}
	if forwarded && s.undeclared.Once(time.Hour) {
		s.warnUndeclared(c)
	}
	q.Head = append(q.parsed.AppendWithout(nil, q.Head, forged), "\r\n"...)
	q.parsed.HeadLen = len(q.Head)
}

// warnUndeclared tells the operator what to do if c is a proxy.
func (s *Sites) warnUndeclared(c *Client) {
	addr := c.direct().Addr
	if addr == "" {
		addr = "unix"
	}
	s.cfg.LogClient(logfile.Info, c.String(), fmt.Sprintf("its fields Forwarded, X-Forwarded-* and X-Real-IP are removed, because %s is not a trusted proxy; "+
		"if your proxy has this address, add --forwarded-allow-ips %[1]s", addr))
}
