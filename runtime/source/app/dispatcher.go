package app

import (
	"slices"
	"sync"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Receiver is a Handler that takes bodies in pieces (Mount.Streams of package sites) and messages
// of WebSockets (Mount.WebSocket).
type Receiver interface {
	Handler

	// Deliver hands over the data that has arrived for an exchange of which the loop has not
	// yet taken the Last part; the handler may have made it, and then drops the input.
	// It does not wait and cannot fail; excess data is not read
	// (exchange.InputWindow). Nothing runs before Flush. On the loop.
	Deliver(exchange.Input)
}

// Pacer is what a Handler has that does not start a request with exchange.Request.Pipeline while the answers to earlier requests of
// its connection are large: the request comes back as a part with exchange.OpDeferred.
type Pacer interface {
	// Resume starts a request that has come back. Nothing runs before Flush. On the loop.
	Resume(exchange.Ticket)
}

// Application is what a Handler has that may run on the loop, and is told of signals. On the loop it makes many pieces of a response
// one after the other while another thread sends them.
type Application interface {
	// Attend says whether finished parts are sent during Flush, too. A part that was finished before Attend(false)
	// is still to be sent then. Any goroutine.
	Attend(bool)

	// InTurn reports whether Flush has got to where Next may be called beside it, by the holder of Dispatcher.state. It is
	// safe for concurrent use.
	InTurn() bool

	// Stalled is called on every tick during which the loop is in Flush, on another goroutine, if
	// something has a timeout. It returns the exchange that runs inline, on the loop, and how long it has been
	// seen there by earlier calls; 0 if nothing does. It must not block.
	Stalled() (exchange.Ticket, time.Duration)

	// Signalled says that a signal for the application arrived. On the loop.
	Signalled()
}

// Handler runs an application. The loop gives it requests, whole ones unless it is
// a Receiver, and takes parts of responses; neither side ever waits for the other.
//
// All methods but Release are called on the loop only.
type Handler interface {
	// Attach is called once before the first Submit. w is for when parts wait and the loop may be asleep. ask makes requests to the server
	// itself possible, on behalf of a request.
	Attach(w *eventloop.Waker, ask func(exchange.Origin) exchange.Subrequester)

	// Submit hands over a request. It returns false when too many wait: the
	// loop then answers 503. Nothing runs before Flush.
	Submit(*exchange.Request) bool

	// Flush starts the submitted exchanges. An inline handler runs it here, on
	// the loop; the loop calls Next after every Flush and on every wake-up.
	Flush()

	// Next fills in the next part that is ready and returns true, or returns
	// false when there is none.
	Next(*exchange.Part) bool

	// Release gives a part back: its bytes were sent or are not wanted any
	// more. Any goroutine may call it. Unreleased bytes are what the handler
	// uses for back-pressure; releasing the Last part ends the exchange.
	Release(*exchange.Part)

	// Cancel says that no client waits for this exchange any more. Work not yet started is dropped, iterators are closed. The Last part still
	// comes. If the reason is that the exchange has taken longer than its Source allows, took is how long; its client has been answered
	// then, as far as that goes, and Cancel may have been called before. Otherwise it is 0. It must not block.
	Cancel(t exchange.Ticket, took time.Duration)
}

// Loop is the server of a Dispatcher. Its methods are called on the event loop or, while a handler holds that up, by a goroutine
// that stands in for it.
type Loop interface {
	// Flush writes the output that is gathered for connections.
	Flush()

	// Exact returns conn.Set.Now as it is now.
	Exact() int64

	// Occupied counts n more exchanges that occupy the application.
	Occupied(n int)

	// HeldUp is called when a handler has kept the event loop for longer than it may take.
	HeldUp()

	// Recover is deferred where the event loop would not see a panic: it recovers, logs, and ends the interrupted work.
	Recover()
}

// Files answers exchanges with files that handlers name. *static.Handed implements it.
type Files interface {
	// Take answers x, whose turn it is, as p says. p may be released when Take returns.
	Take(x *exchange.Exchange, p *exchange.Part, parsed *http1.Request)
}

// Channels makes clients of exchanges subscribers. *live.Subscribers implements it.
type Channels interface {
	// Subscribe makes the client of x, which has asked for r, a subscriber of the channels that p names, the first part of
	// the response. It sends the head, and the rest of p is not the first part any more. If the client cannot be a
	// subscriber, it returns false, and the reply to send instead.
	Subscribe(x *exchange.Exchange, p *exchange.Part, r *exchange.Request) (refusal exchange.Reply, ok bool)
}

// Config says how a Dispatcher behaves.
type Config struct {
	Limits   *http1.Limits // of requests that handlers give back with exchange.Head
	Files    Files
	Channels Channels
	Waker    *eventloop.Waker // for handlers

	// Programs returns the Handler that runs the programs named by other handlers, and its number of the mount. It is called once,
	// on the event loop, when the first program is named. nil: such requests get 500.
	Programs func() (Handler, int)

	// Subrequests is for handlers that ask the server itself for pages.
	Subrequests func(exchange.Origin) exchange.Subrequester

	// Trace writes a line for debugging. nil: there is no debugging.
	Trace func(format string, args ...any)
}

// Dispatcher gives requests to handlers, and their parts to the exchanges. Its methods must be called on the event loop, but for
// those that say otherwise.
type Dispatcher struct {
	loop       Loop
	set        *conn.Set // with the clock
	cfg        Config
	handlers   []Handler   // all of them
	former     []Handler   // among them: those of an earlier Serve that still have calls
	main       Handler     // the one of Serve; nil: none
	app        Application // main, if it is one
	used       int64       // conn.Set.Now when a call of main has ended last
	programs   programs
	turnSender turnSender

	calls []*call // by ticket
	free  *call
	part  exchange.Part // the one that is being delivered

	// Due says that Handler.Flush is to be called, by the next Run: handlers have something to do.
	Due bool

	limited bool // some Source has a timeout
	taken   int  // requests submitted since the last Flush

	// state is held by the event loop except during Handler.Flush, when a handler may run there and not return. Its holder may
	// touch all that belongs to the loop: see Stalled.
	state   sync.Mutex
	overran bool // Stalled has answered for a handler
	running bool // flush is on the stack
}

// New returns a Dispatcher without handlers, whose clients are in set. The caller is the event loop from now on, or hands over to it.
func New(h Loop, set *conn.Set) *Dispatcher {
	d := &Dispatcher{loop: h, set: set}
	d.turnSender.call = make(chan struct{}, 1)
	d.state.Lock()
	return d
}

// Configure replaces the Config, for handlers of the next Serve.
func (d *Dispatcher) Configure(c Config) { d.cfg = c }

// Serve attaches all handlers. main, which may be nil, is one of them: the application's. limited says that some Source has a
// timeout. It may be called again, with handlers that were not attached before; the former ones finish what they have.
func (d *Dispatcher) Serve(main Handler, all []Handler, limited bool) {
	d.former, d.programs = d.handlers, programs{}
	if d.main = main; limited && !d.limited {
		d.limited = true
		for _, c := range d.calls {
			c.since = d.loop.Exact()
		}
	}
	d.app, _ = main.(Application)
	d.handlers = slices.Concat(all, d.former)
	for _, h := range all {
		h.Attach(d.cfg.Waker, d.cfg.Subrequests)
	}
	d.dropFormer()
}

// dropFormer forgets the handlers of an earlier Serve that have no calls any more.
func (d *Dispatcher) dropFormer() {
	if len(d.former) == 0 {
		return
	}
	idle := func(h Handler) bool {
		return !slices.ContainsFunc(d.calls, func(c *call) bool { return c.handler == h })
	}
	all := d.handlers[:len(d.handlers)-len(d.former)]
	d.former = slices.DeleteFunc(slices.Clone(d.former), idle)
	d.handlers = slices.Concat(all, d.former) // Run may be going through them
}

// Attached returns how many handlers are attached.
func (d *Dispatcher) Attached() int { return len(d.handlers) }

// HasFormer reports whether handlers of an earlier Serve have calls.
func (d *Dispatcher) HasFormer() bool { return len(d.former) > 0 }

// add attaches one more handler.
func (d *Dispatcher) add(h Handler) {
	at := len(d.handlers) - len(d.former)
	d.handlers = slices.Concat(d.handlers[:at], []Handler{h}, d.former) // Run may be going through them
	h.Attach(d.cfg.Waker, d.cfg.Subrequests)
}

// takenMost is how many requests and messages are worth taking before they are passed on: more
// of them push each other out of the processor's cache, and out of the queue.
const takenMost = 256

// took counts a request or message that was submitted. When they are many, the event loop passes them on soon, as for a thread that calls.
func (d *Dispatcher) took() {
	d.Due = true
	if d.taken++; d.taken == takenMost {
		d.cfg.Waker.Wake()
	}
}

// Signalled tells the application that a signal for it has arrived.
func (d *Dispatcher) Signalled() {
	if d.app != nil {
		d.app.Signalled()
	}
	d.Due = true
}

// Run starts submitted requests, and delivers finished parts.
func (d *Dispatcher) Run() {
	if d.Due {
		d.Due, d.taken = false, 0
		d.flush()
	}
	d.deliverAll()
}

func (d *Dispatcher) deliverAll() {
	for _, h := range d.handlers {
		for h.Next(&d.part) {
			d.deliver(&d.part)
		}
	}
}

// flush has handlers start submitted requests.
func (d *Dispatcher) flush() {
	handlers := d.handlers
	d.running = true
	d.state.Unlock()
	defer func() {
		d.state.Lock()
		d.running = false
		if d.overran {
			d.overran = false
			d.loop.HeldUp()
		}
	}()
	// The application's comes last, as parts may be sent while it runs on the loop: see Attend.
	for i := len(handlers) - 1; i >= 0; i-- {
		handlers[i].Flush()
	}
}

// CallTurnSender is eventloop.Waker.Attend.
func (d *Dispatcher) CallTurnSender() {
	if a := &d.turnSender; d.app != nil && a.awake.CompareAndSwap(false, true) {
		a.call <- struct{}{} // there is room: it is not awake
	}
}

// SendNow is eventloop.Waker.SendNow.
func (d *Dispatcher) SendNow() {
	if !d.running {
		return // Run is about to send it
	}
	d.state.Lock()
	defer d.state.Unlock()
	defer d.loop.Recover()
	d.deliverAll()
	d.loop.Flush()
}

// Exchange returns the exchange of a ticket, nil if it has ended.
func (d *Dispatcher) Exchange(t exchange.Ticket) *exchange.Exchange {
	if int(t) >= len(d.calls) {
		return nil
	}
	return d.calls[t].x
}

// put ends a call.
func (d *Dispatcher) put(c *call) {
	if c.handler == d.main {
		d.used = d.set.Now
	}
	ticket := c.ticket
	*c = call{} // a literal with the fields below would be made elsewhere and then copied
	c.d, c.ticket, c.next = d, ticket, d.free
	d.free = c
}

// LastUse returns when the last call of the application has ended, by conn.Set.Now. used reports whether it has one, such as a WebSocket.
func (d *Dispatcher) LastUse() (at int64, used bool) {
	return d.used, slices.ContainsFunc(d.calls, func(c *call) bool { return c.handler != nil && c.handler == d.main })
}

// Idle reports whether all tickets are free.
func (d *Dispatcher) Idle() bool {
	return !slices.ContainsFunc(d.calls, func(c *call) bool { return c.handler != nil })
}

// Occupancy is how long a request occupies the application.
type Occupancy uint8

const (
	// OccupiesNothing is for requests that do not wait for each other.
	OccupiesNothing Occupancy = iota

	// OccupiesUntilHead is until the answer begins. It is for handlers that run on the loop, which asks for the
	// rest of an answer in between.
	OccupiesUntilHead

	// OccupiesUntilEnd is until the whole answer was made, or a WebSocket has begun. It is for handlers that run on threads:
	// a thread that runs a generator can do nothing else.
	OccupiesUntilEnd
)

// endsWith reports whether an exchange with this Occupancy no longer occupies the application after p.
func (o Occupancy) endsWith(p *exchange.Part) bool {
	switch o {
	case OccupiesUntilHead:
		return !p.Interim
	case OccupiesUntilEnd:
		return p.Last || p.First && p.Head.WebSocket
	}
	return false
}

// frees is for a call that no longer occupies the application.
func (c *call) frees() {
	c.occupies = OccupiesNothing
	c.d.loop.Occupied(-1)
}
