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
	StateNew      State = iota // nothing has arrived yet
	StateHead                  // the beginning of a head has arrived
	StateBody                  // the beginning of a body has arrived
	StateReady                 // the next request; those before it may be active
	StateWaiting               // a request has arrived that must wait for the active ones
	StateEnding                // no request any more: it closes when the last response is out
	StateUpgraded              // another protocol has the connection
	StateClosed
)

func (s State) String() string {
	return [...]string{"new", "head", "body", "ready", "waiting", "ending", "upgraded", "closed"}[s]
}

// Server has the connections of HTTP/1 of an event loop, and memory that they share. All methods must be called on the event loop,
// unless they say otherwise.
type Server struct {
	*exchange.Server

	tls   *conn.TLSServer
	open  func(*Conn)            // has the event loop serve a connection, or closes it
	http2 func(*exchange.Client) // continues a connection whose client has sent the preface of HTTP/2

	rest  []byte      // input after the head of the request that is being routed
	bulk  []byte      // memory of readOn; nil until it is needed
	items []conn.Item // memory of sendFile

	unannounced logfile.Seldom // lines about proxies that send no header of the PROXY protocol
}

// Init makes s ready. Connections with TLS begin with a handshake of tls, and connections with the preface of HTTP/2 continue with
// http2. open has the event loop serve a connection, or closes it.
func (s *Server) Init(of *exchange.Server, tls *conn.TLSServer, open func(*Conn), http2 func(*exchange.Client)) {
	s.Server, s.tls, s.open, s.http2 = of, tls, open, http2
}

// Trim gives memory back when no client is connected.
func (s *Server) Trim() { s.bulk = nil }

// Conn is a client's connection. It is the conn.Protocol of the connection as long as that speaks HTTP/1, and the exchange.Stream of its
// exchanges. It belongs to the event loop. There may be many thousand idle connections, so what only a busy one needs is behind pointers.
type Conn struct {
	exchange.Client
	s *Server

	first, last *exchange.Exchange // active exchanges in the order of their responses
	body        *framedBody        // the body that is arriving; a streamed body belongs to the only exchange

	resume http1.Resume // how far the head in the pending input was examined

	state     State
	awaitsTLS bool // the connection begins with TLS
	gate      gate // of the next request
}

var (
	_ conn.Protocol   = (*Conn)(nil)
	_ exchange.Stream = (*Conn)(nil)
)

// NewClient makes a connection of a socket, which it owns. awaitsHeader says that a header of the PROXY protocol comes first if the
// client is a proxy that must send one.
func (s *Server) NewClient(fd int, local, remote net.Addr, awaitsHeader bool) *Conn {
	c := &Conn{s: s}
	c.Holder = c
	s.InitClient(&c.Client, fd, local, remote, awaitsHeader)
	return c
}

// NewSubrequest makes a connection of the server to itself of a socket, which it owns, for requests on behalf of o. It is safe for
// concurrent use.
func (s *Server) NewSubrequest(fd int, o *exchange.Origin) *Conn {
	c := &Conn{s: s}
	c.Holder = c
	c.InitSubrequest(fd, o)
	return c
}

// Open has the event loop watch c. p is its protocol: c, or one before it. The caller then sets Stamp, and calls Schedule.
func (c *Conn) Open(p conn.Protocol) error {
	if err := c.Client.Open(c.s.Set, p); err != nil {
		c.state = StateClosed
		return err
	}
	return nil
}

// Gone implements conn.Holder.
func (c *Conn) Gone() { c.s.Gone(&c.Client) }

// State returns the kind of input that c expects next.
func (c *Conn) State() State { return c.state }

// Busy reports whether a response is under way, or waits for another one.
func (c *Conn) Busy() bool { return c.first != nil || c.Writing() }

// Dismiss ends a connection of which no request is wanted: it closes when everything is sent that was sent before, and the client
// has read it.
func (c *Conn) Dismiss() {
	c.Linger = true
	c.setState(StateEnding)
	c.Finish()
}

// shift takes the first exchange of c out of its list.
func (c *Conn) shift() {
	x := c.first
	c.first = x.Next
	x.Next = nil
	if c.first == nil {
		c.last = nil
	}
}

// tick is how exact deadlines are, in nanoseconds.
const tick = eventloop.Tick

// EOF implements conn.Protocol. It keeps a connection whose client has shut down its sending side
// (printf ... | nc host port) for active exchanges whose response has not begun. It
// cannot be told from a client that has left altogether, so Deadline gives it a short
// time, and a response that has begun is cancelled:
// that is how a client ends a stream.
func (c *Conn) EOF() (stays bool) {
	if c.gate == asking {
		return true
	}
	if c.first == nil || c.first.Out.Begun || c.Subrequest() || c.body != nil || c.state == StateClosed {
		return false
	}
	// Sources that listen for it (http.disconnect of ASGI) are told that the client
	// sends nothing more and has probably left. Their responses are sent all the same. To
	// one that has not answered a WebSocket's handshake yet, it broke off.
	for x := c.first; x != nil; x = x.Next {
		if x.Check != nil {
			x.Check.Defer()
		}
		x.Deliver(exchange.Input{Op: exchange.OpClose, Code: websocket.Abnormal})
	}
	return true
}

// Closed implements conn.Protocol.
func (c *Conn) Closed() {
	c.s.Arrived(&c.Client)
	c.setState(StateClosed)
	if c.body != nil {
		c.body.Drop()
		c.body = nil
	}
	c.cancelAll()
}

// Drain implements conn.Protocol. Idle connections close, or stay for as long as Retire says.
func (c *Conn) Drain(retire bool) {
	s, idle := c.s, !c.Busy() && !c.Yields()
	defer c.Schedule() // deadlines are earlier now
	switch {
	case retire:
		if idle && (c.state == StateReady || c.state == StateNew) {
			c.Stamp = s.Set.Now
		}
	case idle && (c.state == StateReady || c.state == StateNew || c.state == StateHead):
		if c.Unread() { // bytes of a request that the loop has not read yet
			c.Stamp = s.Set.Now
			return
		}
		c.Close("the server is shutting down")
	case idle && c.skipping():
		c.endSkip()
	}
}

// Idle reports whether the client keeps c open without a request: it has not begun one, or not sent a whole head, or its last response
// is out. since is when that began.
func (c *Conn) Idle() (since int64, idle bool) {
	if c.Counts != conn.Take {
		return 0, false // it has no place of a client
	}
	if since, lingers := c.Lingers(); lingers {
		return since, true
	}
	return c.Stamp, c.state <= StateReady && c.state != StateBody && !c.Busy() && !c.Yields() && !c.WaitsForAgain()
}

const (
	// halfTimeout is how long a client that has shut down its side is waited
	// for: long enough for most handlers, short enough that one which gave up
	// does not keep its request in the queue.
	halfTimeout = 2 * time.Second

	// bodyLook is how often the rate of a body is looked at.
	bodyLook = time.Second
)

// unread reports whether something has arrived that the loop has not come to,
// because a handler that runs inline has kept it: then the client is not late.
func (c *Conn) unread() bool {
	return c.reading() && c.Unread()
}

// setState is where the state of a connection changes.
func (c *Conn) setState(s State) {
	if v := c.s; v.Set.Debug >= 2 && c.state != s {
		v.Set.Tracef("%s: %s, was %s", c, s, c.state)
	}
	c.state = s
	switch s {
	case StateReady, StateHead, StateBody:
		c.Schedule() // these may end sooner than where c is in the wheel
	}
}

// deadline returns when something is due.
func (c *Conn) deadline() int64 {
	s := c.s
	switch {
	case c.gate == asking, c.Half && c.last != nil && c.last.AwaitsSites():
		return s.Set.Now + int64(halfTimeout) // the server has it wait
	case c.Half && !c.Writing():
		return c.Stamp + int64(halfTimeout)
	case c.Half:
		return s.Set.Now + int64(halfTimeout) // a transfer
	case c.state == StateNew || c.state == StateHead:
		limit := int64(s.Config.HeadTimeout)
		if s.End == exchange.Draining || s.End == exchange.Leaving && c.state == StateNew {
			limit = min(limit, int64(s.Config.KeepAlive))
		}
		return c.Stamp + tick + limit // a stamp is up to a tick old
	case c.state == StateBody:
		return c.bodyDeadline()
	case c.Busy():
		return s.Set.Now + int64(s.Config.KeepAlive) // no timeout; a transfer has its own
	}
	return c.Stamp + tick + int64(s.Config.KeepAlive)
}

// Due implements conn.Protocol.
func (c *Conn) Due() (next int64) {
	now := c.s.Set.Now
	if at := c.deadline(); at > now {
		return at
	}
	if c.unread() {
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
			c.refuseBody(c.body.TimedOut())
		}
	case StateReady:
		c.Close("idle")
	default:
		c.Close("time is up")
	}
	return c.deadline()
}

// headTimedOut answers a request that did not become whole (RFC 9110 §15.5.9).
var headTimedOut = exchange.Reply{Status: 408, Text: "timed out waiting for the request", Close: true}
