package runtime

import (
	"net"
	"strconv"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// connState says what the loop expects to read from a connection.
type connState uint8

const (
	stateNew      connState = iota // nothing has arrived yet
	stateHead                      // the beginning of a head has arrived
	stateBody                      // the beginning of a body has arrived
	stateReady                     // the next request; those before it may be active
	stateWaiting                   // a request has arrived that must wait for the active ones
	stateEnding                    // no request any more: it closes when the last response is out
	stateUpgraded                  // another protocol has the connection
	stateClosed
)

func (s connState) String() string {
	return [...]string{"new", "head", "body", "ready", "waiting", "ending", "upgraded", "closed"}[s]
}

// httpConn is a connection of a client, with what HTTP/1 has to know of it. It belongs to the loop. There may be many thousand
// idle ones, so what only a busy one needs is behind pointers.
type httpConn struct {
	conn.Conn
	l *loop

	first, last *Exchange // active exchanges in the order of their responses
	undecided   *Exchange // the last one, if it has to wait before its source is known or may begin; or nil

	body *body // the body that is arriving; if it is streamed, that of the only exchange

	subrequest *subrequestConn // it is one of the server to itself, or nil
	proxy      *trustedProxy   // a proxy or a path that is before it, or nil
	peer       *exchange.Peer

	resume   http1.Resume // how far the head in the pending input was examined
	expected uint32       // balance.epoch if its first request counts in balance.expected
	requests uint32       // there have been, as far as they are logged

	state    connState
	bulky    uint8  // how many of the active exchanges may have an answer of any size before the loop knows
	deferred uint8  // how many of them a Pacer holds back
	active   uint16 // length of the list first..last
	rejected bool   // it is one beyond Config.MaxClients, and was told 503
	stopped  bool   // paused until its handler lets it go on: see flowcontrol.go, detachedsocket.go
	lent     bool   // a library may still have a descriptor of it, and wait for what its client says
}

// newConn makes a connection of a socket, which it owns.
func (s *Server) newConn(fd int, local, remote net.Addr) *httpConn {
	c := &httpConn{proxy: s.cfg.proxy(remote)}
	c.Init(fd, local, remote)
	return c
}

// busy reports whether a response is under way, or waits for another one.
func (c *httpConn) busy() bool { return c.first != nil || c.Writing() }

// Client returns what applications are told of the client of the request that
// applyForwarded was last called for.
func (c *httpConn) Client() *exchange.Peer {
	if c.proxy != nil && c.proxy.trusted {
		return c.proxy.peer
	}
	return c.who()
}

// who returns what is true of the connection itself.
func (c *httpConn) who() *exchange.Peer {
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
