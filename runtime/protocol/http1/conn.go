package http1

import (
	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/protocol/http"
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
