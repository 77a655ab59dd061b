package runtime

import (
	"fapws/runtime/accesslog"
	"fapws/runtime/exchange"
	protocol "fapws/runtime/protocol/http1"
	"fapws/runtime/protocol/tunnel"
	"fapws/runtime/protocol/websocket"
)

// phase is how far an exchange has come.
type phase uint8

const (
	deciding         phase = iota // where it goes
	awaitingTurn                  // what answers has to be the first of its connection
	awaitingPassword              // whether its password is right
	awaitingBody                  // the rest of a body that is handed over as a whole
	awaitingSource                // whether its source answers it
	answering                     // a source has it
)

// Exchange is a request with its response. The loop makes it when the head of the request has arrived and may be
// worked on; it ends when its last part has come back from the handler, also if the connection is gone by then.
type Exchange struct {
	exchange.Exchange
	l    *loop
	conn *httpConn // nil: no client waits for the response any more
	next *Exchange // in conn's list, or in the table's free list

	req    *request       // what is asked; nil: a source has taken over what it needs
	phase  phase          // answering, when a source has it
	beside bool           // its source does something beside the loop
	rules  *rules         // of the mount, or of the site; nil: none
	peer   *exchange.Peer // the client, if it has logged in or a handler is asked

	// Of its request.
	minor     uint8
	head      bool  // HEAD
	safe      bool  // Request.Safe
	keepAlive bool  // also of the response
	maxBody   int64 // bytes that its body may have; below 0: any number
	received  int64 // bytes of it

	// Of its source.
	awaitsTurn bool              // Exchange.Source is to be started when its turn has come
	lasting    bool              // exchange.Exchange.Req stays as it is
	bulky      bool              // the response may have any size; counts in conn.bulky
	deferred   bool              // the source has not begun to make the response; counts in conn.deferred
	detached   bool              // the source has a duplicate of the descriptor: see detachedsocket.go
	given      int64             // bytes of input that the source has, with exchange.InputCost for each piece
	turn       int64             // among the requests that had to wait for their client; 0: it never had to
	tunnel     *tunnel.Link      // that its connection is, or nil
	socket     *websocket.Socket // that it is, or is to be, or nil

	// Of its response.
	held   []exchange.Part // parts that arrived before their turn
	queued int64           // bytes of held that are counted for the client: see unsent.go
	out    protocol.Response

	// For the access log.
	quiet      bool // it has no line there
	overridden bool // it gets the override page, and its browser asks again and again
	proper     bool // a WebSocket or a tunnel that has ended as it should
	log        *accesslog.Record
}

// exchangeTable has all exchanges. They are used
// again, so that a request costs no allocation.
type exchangeTable struct {
	l    *loop
	all  []*Exchange
	free *Exchange
	logs []*accesslog.Record // spare ones
}

// record returns a record for the access log, with memory that was used before.
func (t *exchangeTable) record() *accesslog.Record {
	n := len(t.logs)
	if n == 0 {
		return new(accesslog.Record)
	}
	e := t.logs[n-1]
	t.logs = t.logs[:n-1]
	return e
}

func (t *exchangeTable) get() *Exchange {
	x := t.free
	if x == nil {
		x = &Exchange{l: t.l}
		t.all = append(t.all, x)
	} else {
		t.free = x.next
		x.next = nil
	}
	x.Sink, x.Server = x, x
	return x
}

func (t *exchangeTable) put(x *Exchange) {
	held := x.held[:0]
	if cap(held) > 16 {
		held = nil
	}
	if x.log != nil {
		t.logs = append(t.logs, x.log)
	}
	*x = Exchange{} // a literal with these in it would be made elsewhere and then copied
	x.l, x.held, x.next = t.l, held, t.free
	t.free = x
}

// append puts x behind the exchanges of c.
func (c *httpConn) append(x *Exchange) {
	x.conn, x.quiet = c, c.subrequest != nil
	if c.first == nil {
		c.first = x
	} else {
		c.last.next = x
	}
	c.last = x
	c.active++
}

// shift takes the first exchange of c out of its list.
func (c *httpConn) shift() {
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
