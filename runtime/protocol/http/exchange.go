package http

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
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

// Body is the body of a request that is arriving. The handler hears of the request when it is whole, so that a slow client never holds
// an application, or, where Answerer.Streams, at once.
type Body struct {
	X        *Exchange // whose body it is; nil: nothing takes the rest any more
	answerer Answerer  // that gets it
	Streamed bool      // it is delivered to X as it arrives; else it is collected
	Expects  bool      // the client waits for 100 Continue before it sends it, if streamed

	max    int64 // bytes that it may have; below 0: any number
	size   int64 // bytes that have arrived
	begun  int64 // time of its first byte; later by as long as it was not read
	paused int64 // time since when it is not read

	data  []byte // the stored bytes, until they are too long for memory
	spool int    // descriptor of the file with all of it, or -1
}

// ErrTooLarge is the error of a body that has more bytes than it may have.
var ErrTooLarge = errors.New("input body too big")

// TooLarge reports whether a body of size bytes has more than max. It may have any number if max is below 0.
func TooLarge(size, max int64) bool { return size > max && max >= 0 }

// Begin makes b the body of x, which may have up to max bytes (below 0: any number) and begins at the time now.
func (b *Body) Begin(max, now int64) { *b = Body{max: max, begun: now, spool: -1} }

// Collect has b, which has begun, collected for x, which is being decided about, and which a gets with all of it.
func (b *Body) Collect(x *Exchange, a Answerer) {
	x.s.Host.Keep(x)
	x.phase = awaitingBody
	b.X, b.answerer = x, a
}

// Submit submits the request of a body that is whole, and was collected.
func (b *Body) Submit() {
	r := b.X.Req
	b.X.awaitsFile = false
	r.Size = b.size
	r.Body, r.Spool = b.Stored()
	b.X.Submit(b.answerer)
}

// Size returns how many bytes have arrived.
func (b *Body) Size() int64 { return b.size }

// Count adds n bytes to those that have arrived. At least coming more are announced. The error is ErrTooLarge.
func (b *Body) Count(n int, coming int64) error {
	b.size += int64(n)
	if least := b.size + coming; least < 0 || TooLarge(least, b.max) {
		return ErrTooLarge
	}
	return nil
}

// Store keeps a piece that was counted: in memory or, once more than memory bytes have arrived, in a file, as Spill does. The error is of the
// file system.
func (b *Body) Store(piece []byte, memory int) error {
	if b.spool >= 0 {
		return writeAll(b.spool, piece)
	}
	b.data = append(b.data, piece...) // never by what the client announced
	if b.size <= int64(memory) {
		return nil
	}
	return b.Spill()
}

// Spill moves b from memory to a file without a name. While its client has as many files as it may have, b waits: nothing more should be read. The
// error is of the file system.
func (b *Body) Spill() (err error) {
	x := b.X
	if !x.takeFile() {
		return nil
	}
	if b.spool, err = system.UnnamedFile(x.s.Config.SpoolDir); err != nil {
		x.giveFile()
		return err
	}
	data := b.data
	b.data = nil
	return writeAll(b.spool, data)
}

// Waits reports whether b waits for a file. Then Carrier.Credited is called when there may be one.
func (b *Body) Waits() bool { return b.X != nil && b.X.awaitsFile }

// InFile reports whether b is in a file.
func (b *Body) InFile() bool { return b.spool >= 0 }

// InMemory returns how many bytes of the stored body are in memory.
func (b *Body) InMemory() int { return len(b.data) }

// Stored returns the body, in memory or in a file that belongs to the caller. spool is -1 if there is none.
func (b *Body) Stored() (data []byte, spool int) {
	data, spool = b.data, b.spool
	b.data, b.spool = nil, -1
	return data, spool
}

// Drop gives the stored body up.
func (b *Body) Drop() {
	if _, spool := b.Stored(); spool >= 0 {
		unix.Close(spool)
		b.X.giveFile()
	}
	if b.X != nil {
		b.X.awaitsFile = false
	}
}

// Asked says that the client, which waits for 100 Continue, gets that at the time now.
func (b *Body) Asked(now int64) { b.Expects, b.begun = false, now }

// Pause says that b is not read from the time now on, which is not the fault of its client.
func (b *Body) Pause(now int64) { b.paused = now }

// Resume ends what Pause began.
func (b *Body) Resume(now int64) { b.begun += now - b.paused }

// TooSlow reports whether b, once the timeout has passed, has arrived at less than rate bytes per second.
func (b *Body) TooSlow(now int64, timeout time.Duration, rate int64) bool {
	age := now - b.begun
	return age > int64(timeout) && float64(b.size) < float64(rate)*float64(age)/1e9
}

// WaitsUntil returns until when b, which is paused, may wait for a file: longer than bodies that do not arrive any more have theirs.
func (b *Body) WaitsUntil(timeout time.Duration) int64 { return b.paused + 2*int64(timeout) }

// TimedOut returns what the client gets for a body that has not arrived in time.
func (b *Body) TimedOut() exchange.Reply {
	if b.Waits() {
		if s := b.X.s; s.spoolWarnings.Once(time.Minute) {
			b.X.Server.Log(logfile.Warning, fmt.Sprintf("sent 503: too many request bodies wait in files (at most %d of all clients, a third of them of one address); "+
				"raise the limit of open files (ulimit -n, LimitNOFILE of systemd)", s.files.Max))
		}
		return exchange.Reply{Status: 503, Text: "too many unfinished request bodies", Close: true}
	}
	return exchange.Reply{Status: 408, Text: "timed out waiting for the request body", Close: true}
}

// writeAll writes to a regular file. The event loop calls it: the bytes go to the kernel's page cache, which takes about as long as
// a copy.
func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Pieces of bodies, and messages, wait in memory until the application takes
// them. Their bytes are counted for each exchange, and beyond
// exchange.InputWindow its client is stopped until the handler
// has given credit for half of it. So the memory for a client is bounded.

// Tell hands input over to the source of x, if it takes any.
func (x *Exchange) Tell(in exchange.Input) {
	if r, ok := x.Source.(exchange.Receiver); ok {
		r.Input(&x.Exchange, in)
	}
}

// Feed is Tell for a piece of a body, which the handler has to give credit for. The carrier stops the client if the handler has enough
// now.
func (x *Exchange) Feed(piece []byte, last bool) {
	x.Received += int64(len(piece))
	c := x.Carrier
	x.Tell(exchange.Input{Data: piece, Last: last})
	if x.given.Add(piece) && !last {
		c.StopInput(x)
	}
}

// Given returns how many bytes of input the source of x has, and has not given back.
func (x *Exchange) Given() int64 { return int64(x.given) }

// Credit implements exchange.Server.
func (x *Exchange) Credit(n int64) {
	more := x.given.Credit(n)
	if x.Carrier != nil {
		x.Carrier.Credited(x, n, more)
	}
}
