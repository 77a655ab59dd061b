package runtime

import (
	"fapws/runtime/accesslog"
	"fapws/runtime/cache"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Exchange is an exchange that has been accepted and not yet answered to its
// end. The loop makes it when a request is whole; it ends when its last part
// has come back from the handler, also if the connection is gone by then.
type Exchange struct {
	ticket  exchange.Ticket
	handler Handler   // that has it; nil: the loop answers
	conn    *conn     // nil: nobody waits for the response any more
	next    *Exchange // in conn's list, or in the table's free list

	held  []exchange.Part // parts that arrived before their turn
	local []byte          // a whole response that the loop made itself; no parts will come
	file  *fileJob        // a static file that has to be opened; no parts will come
	page  *cache.Page     // from the cache; no parts will come
	wait  *cacheWaiter    // for a page that another exchange fetches
	fill  *cacheFill      // its parts are kept, too

	invalidates *cache.Pattern // pages that are out of date if its answer is no error

	bulky    bool // counts in conn.bulky
	occupies bool // counts in balance.running
	deferred bool // the handler has not started it (exchange.OpDeferred, Request.Held); counts in conn.deferred

	queued int64 // bytes of held that are counted for the client: see unsent.go
	turn   int64 // among the requests that had to wait for their client; 0: it never had to

	since  int64 // loop.now when the handler began to owe the next part
	owed   bool  // the handler has it, and its last part has not come back
	orphan bool  // counted in loop.orphans

	given int64 // bytes of input that the handler has, with exchange.InputCost for each piece
	raw   bool  // the handler has a duplicate of the descriptor: see raw.go

	tunnel *connTunnel // that its connection is, or nil

	begun           bool   // the head was sent
	rules           *rules // of what answers; nil: none
	quiet           bool   // it has no line in the access log
	overridden      bool   // it gets the override page, and its browser asks again and again
	cut             bool   // the handler sent more than it promised, and that was logged
	sendCacheStatus bool   // the client is sent cacheStatus
	unchanged       bool   // the client has the page
	from            int64  // first byte of the page that is sent, if count is not 0
	count           int64  // bytes of it; 0: all
	cacheStatus     cache.Verdict
	minor           uint8
	head            bool // HEAD
	keepAlive       bool
	safe            bool           // Request.Safe
	peer            *exchange.Peer // who has asked a handler
	extra           []byte         // fields that a handler adds to the answer of another
	prefix          string         // trustedProxy.root if the client's path has it and the request's has not
	framing         http1.Framing
	left            int64 // bytes still promised when Sized

	status int
	sent   int64 // bytes of the body
	framed int64 // bytes of the response besides
	static bool  // files answer
	proper bool  // a WebSocket that was closed as it should
	log    *logEntry
}

// logEntry is what the access log and Debug remember of a request.
type logEntry struct {
	accesslog.Entry
	log    *accesslog.Log // where it goes; nil: nowhere
	client string         // its client, for people
}

// exchangeTable is the table of exchanges, indexed by ticket. Entries are used
// again, so that a request costs no allocation.
type exchangeTable struct {
	all  []*Exchange
	free *Exchange
}

func (t *exchangeTable) get() *Exchange {
	x := t.free
	if x == nil {
		x = &Exchange{ticket: exchange.Ticket(len(t.all))}
		t.all = append(t.all, x)
		return x
	}
	t.free = x.next
	x.next = nil
	return x
}

func (t *exchangeTable) put(x *Exchange) {
	ticket, held, log := x.ticket, x.held[:0], x.log
	if cap(held) > 16 {
		held = nil
	}
	*x = Exchange{} // a literal with these in it would be made elsewhere and then copied
	x.ticket, x.held, x.log, x.next = ticket, held, log, t.free
	t.free = x
}

// append puts x behind the exchanges of c.
func (c *conn) append(x *Exchange) {
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
func (c *conn) shift() {
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
