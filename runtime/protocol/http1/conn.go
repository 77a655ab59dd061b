package http1

import (
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/protocol/http"
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

// Conn is a connection of a client that speaks HTTP/1. It belongs to the event loop. There may be many thousand idle ones, so what
// only a busy one needs is behind pointers. What makes connections embeds it, and calls Attach and Open.
type Conn struct {
	conn.Conn
	s *Server

	first, last *http.Exchange // active exchanges in the order of their responses
	body        *Body          // the body that is arriving; if it is streamed, that of the only exchange

	resume http1.Resume // how far the head in the pending input was examined

	state     State
	bulky     uint8  // how many of the active exchanges may have an answer of any size before the loop knows
	deferred  uint8  // how many of them a Pacer holds back
	active    uint16 // length of the list first..last
	undecided bool   // the last one has to wait before its source is known or may begin
	lent      bool   // a library may still have a descriptor of it, and wait for what its client says
	internal  bool   // the client is this server itself: see SetInternal
}

// Open has the event loop watch c, which was attached. p is its protocol: the struct that c is embedded in, or one
// before it. The caller then sets Stamp, and calls Schedule.
func (c *Conn) Open(p conn.Protocol) error {
	if err := c.Conn.Open(c.s.Set, p); err != nil {
		c.state = StateClosed
		return err
	}
	return nil
}

// Attach makes c, which has not been opened yet, a connection of s.
func (c *Conn) Attach(s *Server) { c.s = s }

// Below, Broken and Internal implement http.Carrier.
func (c *Conn) Below() *conn.Conn { return &c.Conn }
func (c *Conn) Broken() bool      { return c.state == StateClosed }
func (c *Conn) Internal() bool    { return c.internal }

// SetInternal says that the client is this server itself (a subrequest): it gets no responses of 1xx, shuts down both sides at once, and
// does not count for the pace of any client.
func (c *Conn) SetInternal() { c.internal = true }

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

// append puts x behind the exchanges of c.
func (c *Conn) append(x *http.Exchange) {
	if c.first == nil {
		c.first = x
	} else {
		c.last.Next = x
	}
	c.last = x
	c.active++
}

// shift takes the first exchange of c out of its list.
func (c *Conn) shift() {
	x := c.first
	if x.Bulky {
		c.bulky--
	}
	if x.IsDeferred() {
		c.deferred--
	}
	c.first = x.Next
	x.Next = nil
	c.active--
	if c.first == nil {
		c.last = nil
	}
}

// Server is what connections of HTTP/1 share. It belongs to the event loop.
type Server struct {
	*http.Server

	rest  []byte      // input behind the head of the exchange that is being decided about
	bulk  []byte      // memory of readOn; nil: it was not needed yet
	items []conn.Item // memory of sendFile
}

// tick is how exact deadlines are, in nanoseconds.
const tick = eventloop.Tick

// Trim gives memory back when no client is connected.
func (s *Server) Trim() { s.bulk = nil }

func (s *Server) tracef(format string, args ...any) { s.Set.Log(logfile.Debug, format, args...) }

// settle closes c if its last response is out.
func (c *Conn) settle() {
	s := c.s
	switch {
	case c.Busy() || c.Gathers() || c.WaitsForAgain() && !s.Draining():
	case s.Draining() && (c.state == StateReady || c.state == StateWaiting):
		c.setState(StateEnding) // its head, sent before, said that it stays open
		c.Finish()
	case s.Draining() && c.skipping():
		c.endSkip()
	case c.state == StateEnding:
		c.Finish()
	case c.Half() && c.reading():
		c.Close("the client has shut down its side")
	}
}

// EOF implements conn.Protocol. It keeps a connection whose client has shut down its sending side
// (printf ... | nc host port) for active exchanges whose response has not begun. It
// cannot be told from a client that has left altogether, so Deadline gives it a short
// time, and a response that has begun is cancelled:
// that is how a client ends a stream.
func (c *Conn) EOF() (stays bool) {
	if c.first == nil || c.first.Out.Begun || c.internal || c.body != nil || c.state == StateClosed {
		return false
	}
	c.tellHalf()
	return true
}

// tellHalf tells sources that listen for it (http.disconnect of ASGI) that the client
// sends nothing more and has probably left. What they answer is sent all the same. To
// one that has not answered a WebSocket's handshake yet, it broke off.
func (c *Conn) tellHalf() {
	for x := c.first; x != nil; x = x.Next {
		c.s.Host.HalfClosed(x)
		x.Tell(exchange.Input{Op: exchange.OpClose, Code: websocket.Abnormal})
	}
}

// Closed implements conn.Protocol.
func (c *Conn) Closed() {
	c.setState(StateClosed)
	if c.lent || c.first != nil && c.first.Detached {
		unix.Shutdown(c.Fd(), unix.SHUT_RDWR)
	}
	if c.body != nil {
		c.body.Drop()
		c.body = nil
	}
	c.cancelAll()
}

// Drain implements conn.Protocol. Idle connections close, or stay for as long as Retire says.
func (c *Conn) Drain(retire bool) {
	s, idle := c.s, !c.Busy()
	if retire {
		defer c.Schedule() // deadlines are earlier now
	}
	switch {
	case retire:
		if idle && (c.state == StateReady || c.state == StateNew) {
			c.Stamp = s.Now()
		}
	case idle && (c.state == StateReady || c.state == StateNew || c.state == StateHead):
		c.Close("the server is shutting down")
	case idle && c.skipping():
		c.endSkip()
	}
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
		v.tracef("%s: %s, was %s", c, s, c.state)
	}
	c.state = s
	switch s {
	case StateReady, StateHead, StateBody:
		c.Schedule() // these may end sooner than where c is in the wheel
	}
}

// Deadline implements conn.Protocol.
func (c *Conn) Deadline() int64 {
	s := c.s
	switch {
	case c.Half() && c.undecided && c.last.Patient:
		return s.Now() + int64(halfTimeout) // the server has it wait
	case c.Half() && !c.Writing():
		return c.Stamp + int64(halfTimeout)
	case c.Half():
		return s.Now() + int64(halfTimeout) // a transfer
	case c.state == StateNew || c.state == StateHead:
		limit := int64(s.Config.HeadTimeout)
		if s.Leaving() && c.state == StateNew {
			limit = min(limit, int64(s.Config.KeepAlive))
		}
		return c.Stamp + tick + limit // a stamp is up to a tick old
	case c.state == StateBody:
		return c.bodyDeadline()
	case c.Busy():
		return s.Now() + int64(s.Config.KeepAlive) // no timeout; a transfer has its own
	}
	return c.Stamp + tick + int64(s.Config.KeepAlive)
}

// Expired implements conn.Protocol.
func (c *Conn) Expired() {
	if c.unread() {
		c.Postpone()
		return
	}
	switch c.state {
	case StateHead:
		c.timedOut("timed out waiting for the request")
	case StateBody:
		c.bodyLate()
	case StateReady:
		c.Close("idle")
	default:
		c.Close("time is up")
	}
}

// bodyLate refuses a request whose body comes too slowly.
func (c *Conn) bodyLate() {
	switch r := c.body.TimedOut(); {
	case c.skipping():
		c.endSkip()
	case c.body.Streamed:
		c.breakOff(r)
	default:
		if c.Stopped() {
			c.resumeReading()
		}
		c.DropInput()
		c.refuseBody(r)
		if c.state != StateClosed {
			c.Schedule()
		}
	}
}

// timedOut answers a request that did not become whole (RFC 9110 §15.5.9).
func (c *Conn) timedOut(text string) {
	c.setState(StateReady)
	c.DropInput()
	c.newErrorExchange(nil).Sink.Reply(exchange.Reply{Status: 408, Text: text, Close: true})
	if c.state != StateClosed {
		c.Schedule()
	}
}
