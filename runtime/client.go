package runtime

import (
	"net"
	"strconv"

	"fapws/runtime/accept"
	"fapws/runtime/auth"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/protocol/http1"
)

// client is a connection with what the server has to know of its client. It is the conn.Protocol of the connection as long as that
// speaks HTTP/1. There may be many thousand idle ones.
type client struct {
	http1.Conn
	l *loop

	subrequest *exchange.Origin // of requests of the server to itself; nil: it is a client
	proxy      *trustedProxy    // a proxy or a path that is before it, or nil
	peer       *exchange.Peer

	expected accept.Expected
	requests uint32         // there have been, as far as they are logged
	counts   accept.Verdict // as what the acceptor counts it
}

var _ conn.Protocol = (*client)(nil)

// newClient makes a connection of a socket, which it owns.
func (l *loop) newClient(fd int, local, remote net.Addr) *client {
	c := &client{l: l, proxy: l.cfg.proxy(remote), counts: accept.Take}
	c.Attach(&l.http)
	c.Init(fd, local, remote)
	return c
}

// clientOf returns the client whose connection c is. It speaks HTTP/1.
func clientOf(c *conn.Conn) *client { return c.Protocol().(*client) }

// Account implements conn.Protocol. Output for a subrequest is counted for the client that it was made for.
func (c *client) Account() string {
	if c.subrequest != nil {
		return ""
	}
	return accountOf(c.Client())
}

// accountOf returns the name of a client in the ledger, "" if it has no known address.
func accountOf(p *exchange.Peer) string {
	if p == nil || p.Addr == "" {
		return ""
	}
	return auth.Network(p.Addr)
}

// Closed implements conn.Protocol.
func (c *client) Closed() {
	c.l.arrived(c)
	c.Conn.Closed()
}

// Gone implements conn.Protocol. It makes room for another connection.
func (c *client) Gone() {
	l := c.l
	if l.debug >= 1 {
		l.tracef("%s disconnected, %d open", c, l.live.Load()-1)
	}
	l.makeRoom(c.counts)
}

// Client returns what applications are told of the client of the request that
// applyForwarded was last called for.
func (c *client) Client() *exchange.Peer {
	if c.proxy != nil && c.proxy.trusted {
		return c.proxy.peer
	}
	return c.who()
}

// who returns the peer of the connection itself, whatever a proxy says.
func (c *client) who() *exchange.Peer {
	if c.peer == nil {
		c.peer = newPeer(c.Local, c.Remote)
	}
	return c.peer
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
