package http

import (
	"iter"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
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

// Exchange is a request of HTTP with its response. It is made when the head of the request has arrived and may be
// worked on; it ends when its last part has come back from the source, also if the client is gone by then.
type Exchange struct {
	exchange.Exchange
	s       *Server
	Carrier Carrier   // nil: no client waits for the response any more
	Next    *Exchange // in a list of the carrier, or in the table's free list
	Count   *int      // is one less when the exchange has ended; nil: nothing counts it

	phase  phase // answering, when a source has it
	beside bool  // its source does something beside the loop

	// Patient says that what answers the exchange does not exist yet: a client that has shut down its side is waited for meanwhile.
	Patient bool

	// Of its request.
	Version  http1.Version
	IsHead   bool  // its method is HEAD
	trailers bool  // http1.Request.Trailers
	Received int64 // bytes of it

	// MaxBody is how many bytes the body may have; below 0: any number. The Host sets it before Admit.
	MaxBody int64

	// Of its source.
	awaitsTurn bool           // Source is to be started when its turn has come
	lasting    bool           // Req stays as it is
	deferred   bool           // the source has not begun to make the response
	given      exchange.Given // input that the source has
	hasFile    bool           // its body is, or was, in a file that is counted for fileOf
	awaitsFile bool           // its body waits for one
	fileOf     string         // the client: see Shares

	// Of its response.
	KeepAlive bool            // the connection stays open behind it
	held      []exchange.Part // parts that arrived before their turn
	unsent    *conn.Unsent    // what of it waits for the client; nil: nothing has
	Out       Response

	// Of HTTP/1, where exchanges of a connection have an order, and may leave it to another protocol.
	Safe       bool // Request.Safe
	Bulky      bool // the response may have any size
	Detached   bool // the source has a duplicate of the descriptor
	MayUpgrade bool // Host.Upgrade is to be called for the first part of the response, which may accept a WebSocket
}

// Conn returns the connection of the client; nil: no client waits for the response any more.
func (x *Exchange) Conn() *conn.Conn {
	if x.Carrier == nil {
		return nil
	}
	return x.Carrier.Below()
}

// Broken reports whether the client has left before the exchange has ended.
func (x *Exchange) Broken() bool { return x.Carrier == nil || x.Carrier.Broken() }

// exchangeTable has all exchanges. They are used again, so that a request costs no allocation.
type exchangeTable struct {
	all  []*Exchange
	free *Exchange
}

// New returns an exchange without a request, which c carries.
func (s *Server) New(c Carrier) *Exchange {
	t := &s.exchanges
	x := t.free
	if x == nil {
		x = s.Host.New()
		x.s = s
		t.all = append(t.all, x)
	} else {
		t.free = x.Next
		x.Next = nil
	}
	x.Carrier = c
	return x
}

// Begin makes x, which is new, the exchange of r, of which there is the head.
func (x *Exchange) Begin(r *exchange.Request) {
	x.Req = r
	x.Version = r.Parsed.Version
	x.IsHead = r.Parsed.Head
	x.trailers = r.Parsed.Trailers
	x.KeepAlive = r.Parsed.KeepAlive
	x.Safe = r.Parsed.Safe
	x.Received = int64(len(r.Head))
}

// End ends an exchange for good.
func (x *Exchange) End() {
	s := x.s
	x.giveFile()
	s.Host.Ended(x)
	if x.Count != nil {
		*x.Count--
	}
	held := x.held[:0]
	if cap(held) > 16 {
		held = nil
	}
	t, sink, server := &s.exchanges, x.Sink, x.Server
	*x = Exchange{} // a literal with these in it would be made elsewhere and then copied
	x.Sink, x.Server = sink, server
	x.s, x.held, x.Next = s, held, t.free
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
	for x := s.exchanges.free; x != nil; x = x.Next {
		n--
	}
	return n
}
