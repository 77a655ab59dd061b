package runtime

import (
	"fapws/runtime/accesslog"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/source/cache"
)

// phase is how far an exchange has come.
type phase uint8

const (
	deciding         phase = iota // where it goes
	awaitingTurn                  // what answers has to be the first of its connection
	awaitingPassword              // whether its password is right
	awaitingBody                  // the rest of a body that is handed over as a whole
	answering                     // a source has it
)

// Exchange is a request with its response. The loop makes it when the head of the request has arrived and may be
// worked on; it ends when its last part has come back from the handler, also if the connection is gone by then.
type Exchange struct {
	ticket  exchange.Ticket
	handler Handler   // that has it; nil: the loop answers
	conn    *conn     // nil: no client waits for the response any more
	req     *request  // what is asked; nil: a source has taken over what it needs
	phase   phase     // answering, when a source has it
	source  source    // nil: not known yet
	next    *Exchange // in conn's list, or in the table's free list

	held  []exchange.Part // parts that arrived before their turn
	local []byte          // a whole response, of a refusalSource
	file  *fileJob        // a file that has to be opened, of a fileSource
	page  *cache.Page     // of a cacheSource
	wait  *cacheWaiter    // for a page that another exchange fetches, of a cacheSource
	fill  *cacheFill      // its parts are kept, too

	invalidates *cache.Pattern // pages that are out of date if its answer is no error

	bulky    bool      // counts in conn.bulky
	occupies Occupancy // if not OccupiesNothing, it counts in balance.running
	deferred bool      // the handler has not started it (exchange.OpDeferred, Request.Held); counts in conn.deferred

	queued int64 // bytes of held that are counted for the client: see unsent.go
	turn   int64 // among the requests that had to wait for their client; 0: it never had to

	since  int64 // loop.now when the handler began to owe the next part
	owed   bool  // the handler has it, and its last part has not come back
	orphan bool  // counted in loop.orphans

	given    int64 // bytes of input that the handler has, with exchange.InputCost for each piece
	detached bool  // the handler has a duplicate of the descriptor: see detachedsocket.go

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
	peer            *exchange.Peer // the client, if it has logged in or a handler is asked
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
	logs []*logEntry // spare ones
}

// logEntry returns an entry for the log, with memory that was used before.
func (t *exchangeTable) logEntry() *logEntry {
	n := len(t.logs)
	if n == 0 {
		return new(logEntry)
	}
	e := t.logs[n-1]
	t.logs = t.logs[:n-1]
	return e
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
	ticket, held := x.ticket, x.held[:0]
	if cap(held) > 16 {
		held = nil
	}
	if x.log != nil {
		t.logs = append(t.logs, x.log)
	}
	*x = Exchange{} // a literal with these in it would be made elsewhere and then copied
	x.ticket, x.held, x.next = ticket, held, t.free
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
