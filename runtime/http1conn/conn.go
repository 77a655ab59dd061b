package http1conn

import (
	"net"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/websocket"
)

// State is the kind of input that a connection expects next.
type State uint8

const (
	StateNew  State = iota // no byte has arrived yet
	StateHead              // the beginning of a head has arrived
	StateBody              // a head has arrived, and the end of its body has not
	// the connection expects the next request, even if earlier requests are active
	StateReady
	StateWaiting // the next request waits for the active requests
	// the connection accepts no further request and closes after the last response
	StateEnding
	StateTakenOver // a protocol other than HTTP/1 has taken over the connection
	StateClosed
)

func (s State) String() string {
	return [...]string{"new", "head", "body", "ready", "waiting", "ending", "taken over", "closed"}[s]
}

// A Server contains the state that the HTTP/1 connections of an event loop share. Its methods must be called on the
// event loop, unless their comments say otherwise.
type Server struct {
	*exchange.Server

	tls   *conn.TLSServer
	open  func(*Conn) // makes the event loop serve a connection, or closes it
	http2 func(*exchange.Client)

	rest  []byte // input that has not been handled yet; during routing, the input after the head of the request
	bulk  []byte // memory of the method buffer; nil until it is needed
	items []conn.Item

	// limits the log lines about proxies that send no PROXY header
	unannounced logfile.Seldom
}

// Init initializes s. tls performs TLS handshakes, http2 continues connections that begin with the HTTP/2 preface, and
// open makes the event loop serve a connection, or closes it.
func (s *Server) Init(server *exchange.Server, tls *conn.TLSServer, open func(*Conn), http2 func(*exchange.Client)) {
	s.Server, s.tls, s.open, s.http2 = server, tls, open, http2
}

func (s *Server) Trim() { s.bulk = nil }

// A Conn is a client's HTTP/1 connection, and the exchange.Stream of its exchanges. It may be used only on the event
// loop. Fields that only a busy connection needs are behind pointers, because thousands of connections can be idle.
type Conn struct {
	exchange.Client
	s *Server

	// list of the active exchanges, in the order of their responses
	active exchange.List
	body   *framedBody

	resume http1.Resume // how much of the head in the pending input has been parsed

	state     State
	awaitsTLS bool
}

var (
	_ conn.Protocol   = (*Conn)(nil)
	_ exchange.Stream = (*Conn)(nil)
)

// NewClient returns a connection with the socket fd, which the connection owns. If awaitsHeader is true and the client
// is a trusted proxy, the connection must begin with a header of the PROXY protocol. If NewClient returns an error, the
// server does not know addresses of this kind, and fd remains the caller's.
func (s *Server) NewClient(fd int, local, remote net.Addr, awaitsHeader bool) (*Conn, error) {
	c := &Conn{s: s}
	c.Holder = c
	return c, s.InitClient(&c.Client, fd, local, remote, awaitsHeader)
}

// NewSubrequest returns a connection with the socket fd, which the connection owns. Over this connection, the server
// sends requests to itself; o describes the request that caused them. Any goroutine may call NewSubrequest.
func (s *Server) NewSubrequest(fd int, o *exchange.Origin) *Conn {
	c := &Conn{s: s}
	c.Holder = c
	c.InitSubrequest(fd, o)
	return c
}

// AwaitTLS makes c begin with TLS, after the header of the PROXY protocol if there is one. AwaitTLS must be called
// before Open.
func (c *Conn) AwaitTLS() { c.awaitsTLS = true }

// Speaks returns the first protocol of c: c itself, or a protocol of begin.go.
func (c *Conn) Speaks() conn.Protocol {
	if c.AwaitsProxyHeader() {
		return proxyHeader{c}
	}
	return c.afterProxyHeader()
}

func (c *Conn) afterProxyHeader() conn.Protocol {
	if c.awaitsTLS {
		return c.handshake()
	}
	if c.s.Config.H2C && !c.Subrequest() {
		return prefaceReader{c}
	}
	return c
}

// Open registers c with the event loop. p is the first protocol of the connection: c itself, or a protocol that
// precedes HTTP/1. Afterwards the caller must set Stamp and call Schedule.
func (c *Conn) Open(p conn.Protocol) error {
	if err := c.Client.Open(c.s.Set, p); err != nil {
		c.state = StateClosed
		return err
	}
	return nil
}

func (c *Conn) Gone() { c.s.Gone(&c.Client) }

func (c *Conn) State() State { return c.state }

func (c *Conn) Busy() bool { return c.active.First != nil || c.Writing() }

// Dismiss makes c accept no further requests. c closes after the client has read all output.
func (c *Conn) Dismiss() {
	c.Linger = true
	c.setState(StateEnding)
	c.Finish()
}

// tick is the precision of deadlines, in nanoseconds.
const tick = eventloop.Tick

// A client can shut down its sending side and still read (printf ... | nc host port). EOF cannot distinguish such a
// client from a client that has disconnected. If no active exchange has begun its response, EOF keeps the connection
// for a short time (see Due). Otherwise EOF cancels the response, because clients disconnect to stop an endless
// response. Over TLS, EOF always cancels the response, because no client shuts down only its sending side.
func (c *Conn) EOF() (stays bool) {
	if c.active.First == nil || c.active.First.Out.Begun || c.Subrequest() || c.body != nil || c.state == StateClosed ||
		c.TLS() != nil {
		return false
	}
	// Notify sources that the client sends no more data and has probably disconnected (http.disconnect of ASGI). The
	// responses to this client are still sent. For a source that has not yet answered a WebSocket handshake, OpClose
	// means that the client has disconnected.
	for x := c.active.First; x != nil; x = x.Next {
		if x.Check != nil {
			x.Check.Defer()
		}
		x.Source.Input(x, exchange.Input{Op: exchange.OpClose, Code: websocket.Abnormal})
	}
	return true
}

func (c *Conn) Closed() {
	c.s.Arrived(&c.Client)
	c.setState(StateClosed)
	if c.body != nil {
		c.body.Drop()
		c.body = nil
	}
	c.cancelAll()
}

// Drain closes c if c has carried a request and is idle. A request that arrives later is discarded, and its client sees
// that the connection was closed, not reset. The first request of a new connection may be on its way, so its deadline
// only becomes earlier. If retire is true, Drain only restarts the timeout of an idle connection.
func (c *Conn) Drain(retire bool) {
	s, idle := c.s, !c.Busy() && !c.Yields()
	defer c.Schedule() // the deadline may have become earlier
	switch {
	case retire:
		if idle && (c.state == StateReady || c.state == StateNew) {
			c.Stamp = s.Set.Now
		}
	case idle && c.state == StateReady:
		// A request has arrived, but the loop has not read it yet; or the server at the other end of a door, which closes idle
		// connections soon, may send one.
		if c.HasUnreadInput() || c.FromDoor() {
			c.Stamp = s.Set.Now
			return
		}
		c.Brief = true // the client's next request may be on its way
		c.Dismiss()
	case idle && c.skipping():
		c.endSkip()
	}
}

// If c has neither a complete request nor an active exchange, idle is true, and start is when this state began.
func (c *Conn) Idle() (start int64, idle bool) {
	if c.Counts != conn.Take {
		return 0, false // the limit --max-clients does not include subrequests
	}
	if since, lingers := c.Lingers(); lingers {
		return since, true
	}
	return c.Stamp, c.state <= StateReady && c.state != StateBody && !c.Busy() && !c.Yields() && !c.WaitsForAgain()
}

const (
	// halfTimeout is how long a connection stays open after its client has shut down the sending side.
	halfTimeout = 2 * time.Second

	bodyLook = time.Second
)

func (c *Conn) setState(s State) {
	if v := c.s; v.Set.Debug >= 2 && c.state != s {
		v.Set.Tracef("%s: %s, was %s", c, s, c.state)
	}
	c.state = s
	switch s {
	case StateReady, StateHead, StateBody:
		c.Schedule() // the new deadline may be earlier than the scheduled one
	}
}

func (c *Conn) deadline() int64 {
	s := c.s
	switch {
	case c.Half && (c.Writing() || c.active.Last != nil && c.active.Last.AwaitsSites()):
		// the client waits for the server, or the output has its own timeout, so this deadline is always in the future
		return s.Set.Now + int64(halfTimeout)
	case c.Half:
		return c.Stamp + int64(halfTimeout)
	case c.state == StateNew || c.state == StateHead:
		limit := int64(s.Config.HeadTimeout)
		if s.End == exchange.Draining || s.End == exchange.Leaving && c.state == StateNew {
			limit = min(limit, int64(s.Config.KeepAlive))
		}
		return c.Stamp + tick + limit // c.Stamp may be a tick too early
	case c.state == StateBody:
		return c.bodyDeadline()
	case c.Busy():
		return s.Set.Now + int64(s.Config.KeepAlive)
	}
	return c.Stamp + tick + int64(s.Config.KeepAlive)
}

func (c *Conn) Due() (next int64) {
	now := c.s.Set.Now
	if at := c.deadline(); at > now {
		return at
	}
	if c.reading() && c.HasUnreadInput() {
		return now + tick
	}
	switch c.state {
	case StateHead:
		c.setState(StateReady)
		c.DropInput()
		c.newErrorExchange(nil).Sink.Reply(headTimedOut)
	case StateBody:
		if c.skipping() {
			c.endSkip()
		} else {
			c.refuseBody(c.body)
		}
	case StateReady:
		c.Close("idle")
	default:
		c.Close("time is up")
	}
	return c.deadline()
}

// headTimedOut is the reply to a request whose head is still incomplete at its deadline (RFC 9110 §15.5.9).
var headTimedOut = exchange.Reply{Status: 408, Text: "timed out waiting for the request", Close: true}
