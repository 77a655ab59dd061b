package http1

import (
	"iter"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// phase is how far an exchange has come.
type phase uint8

const (
	deciding       phase = iota // where it goes
	awaitingTurn                // what answers has to be the first of its connection
	awaitingHost                // Resume
	awaitingBody                // the rest of a body that is handed over as a whole
	awaitingSource              // whether its source answers it
	answering                   // a source has it
)

// Exchange is a request of HTTP/1 with its response. It is made when the head of the request has arrived and may be
// worked on; it ends when its last part has come back from the source, also if the connection is gone by then.
type Exchange struct {
	exchange.Exchange
	s    *Server
	conn *Conn     // nil: no client waits for the response any more
	next *Exchange // in conn's list, or in the table's free list

	phase  phase // answering, when a source has it
	beside bool  // its source does something beside the loop

	// Of its request.
	minor    uint8
	head     bool  // HEAD
	safe     bool  // Request.Safe
	Received int64 // bytes of it

	// MaxBody is how many bytes the body may have; below 0: any number. The Host sets it before Admit.
	MaxBody int64

	// MayUpgrade has Host.Upgrade called for the first part of the response, which may accept a WebSocket.
	MayUpgrade bool

	// Of its source.
	awaitsTurn bool           // Source is to be started when its turn has come
	lasting    bool           // Req stays as it is
	bulky      bool           // the response may have any size; counts in conn.bulky
	deferred   bool           // the source has not begun to make the response; counts in conn.deferred
	detached   bool           // the source has a duplicate of the descriptor: see detached.go
	given      exchange.Given // input that the source has
	turn       int64          // among the requests that had to wait for their client; 0: it never had to

	// Of its response.
	KeepAlive bool            // the connection stays open behind it
	held      []exchange.Part // parts that arrived before their turn
	queued    int64           // bytes of held that are counted for the client: see unsent.go
	Out       Response
}

// Conn returns the connection of the client; nil: no client waits for the response any more.
func (x *Exchange) Conn() *conn.Conn {
	if x.conn == nil {
		return nil
	}
	return &x.conn.Conn
}

// Broken reports whether the client has left before the exchange has ended.
func (x *Exchange) Broken() bool { return x.conn == nil || x.conn.state == StateClosed }

// exchangeTable has all exchanges. They are used again, so that a request costs no allocation.
type exchangeTable struct {
	all  []*Exchange
	free *Exchange
}

// get returns an exchange that is not used.
func (s *Server) get() *Exchange {
	t := &s.exchanges
	x := t.free
	if x == nil {
		x = s.host.New()
		x.s = s
		t.all = append(t.all, x)
	} else {
		t.free = x.next
		x.next = nil
	}
	return x
}

// put ends the use of x.
func (s *Server) put(x *Exchange) {
	s.host.Ended(x)
	held := x.held[:0]
	if cap(held) > 16 {
		held = nil
	}
	t, sink, server := &s.exchanges, x.Sink, x.Server
	*x = Exchange{} // a literal with these in it would be made elsewhere and then copied
	x.Sink, x.Server = sink, server
	x.s, x.held, x.next = s, held, t.free
	t.free = x
}

// Exchanges returns all exchanges, also those that are not used.
func (s *Server) Exchanges() iter.Seq[*Exchange] {
	return func(yield func(*Exchange) bool) {
		for _, x := range s.exchanges.all {
			if !yield(x) {
				return
			}
		}
	}
}

// Active returns the number of exchanges that have begun and not ended.
func (s *Server) Active() int {
	n := len(s.exchanges.all)
	for x := s.exchanges.free; x != nil; x = x.next {
		n--
	}
	return n
}

// append puts x behind the exchanges of c.
func (c *Conn) append(x *Exchange) {
	x.conn = c
	if c.first == nil {
		c.first = x
	} else {
		c.last.next = x
	}
	c.last = x
	c.active++
}

// shift takes the first exchange of c out of its list.
func (c *Conn) shift() {
	x := c.first
	if x.bulky {
		c.bulky--
	}
	if x.deferred {
		c.deferred--
	}
	c.first = x.next
	x.next = nil
	c.active--
	if c.first == nil {
		c.last = nil
	}
}
