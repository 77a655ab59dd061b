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

// Interpreter is the Handler of the application, which the loop asks for parts. Others give theirs to exchange.Request.Publish. It may
// run on the loop, may defer requests, and is told of signals. On the loop it makes many pieces of a response one after the other
// while another thread sends them.
type Interpreter interface {
	exchange.Handler

	// Flush starts the requests of Submit: none runs before. An inline handler runs here, on
	// the loop; the loop calls Next after every Flush and on every wake-up.
	Flush()

	// Next fills in the next part that is ready and returns true, or returns
	// false when there is none.
	Next(*exchange.Part) bool

	// Attach is called once before the first Submit. w is for when parts wait and the loop may be asleep.
	Attach(w *eventloop.Waker)

	// Resume starts a request that was deferred. A request with exchange.Request.Pipeline is not started while the answers to earlier
	// requests of its connection are large: it comes back as a part with exchange.OpDeferred. On the loop.
	Resume(exchange.Ticket)

	// Attend says whether finished parts are sent during Flush, too. A part that was finished before Attend(false)
	// is still to be sent then. Any goroutine.
	Attend(bool)

	// InTurn reports whether Flush has got to where Next may be called beside it, by the holder of Dispatcher.state. It is
	// safe for concurrent use.
	InTurn() bool

	// Stalled is called on every tick during which the loop is in Flush, on another goroutine. It returns the exchange that
	// runs inline, on the loop, and how long it has been seen there by earlier calls; 0 if nothing does. It must not block.
	Stalled() (exchange.Ticket, time.Duration)

	// Held reports whether a debugger holds a thread of the application. It is safe for concurrent use, and must not block.
	Held() bool

	// Signalled says that a signal for the application arrived. On the loop.
	Signalled()
}

// Loop is the server of a Dispatcher. Its methods are called on the event loop or, while a handler holds that up, by a goroutine
// that stands in for it.
type Loop interface {
	// Flush writes the output that is gathered for connections.
	Flush()

	// Occupied counts n more exchanges that occupy the application.
	Occupied(n int)

	// Recover is deferred where the event loop would not see a panic: it recovers, logs, and ends the interrupted work.
	Recover()
}

// Config says how a Dispatcher behaves.
type Config struct {
	Limits *http1.Limits    // of requests that handlers give back with exchange.Head
	Waker  *eventloop.Waker // for the Interpreter

	// Take answers x, whose turn it is, with a file that a handler names, as p says. p may be released when Take returns.
	// It is that of static.Handed.
	Take func(x *exchange.Exchange, p *exchange.Part, parsed *http1.Request)

	// Subscribe makes the client of x, which has asked for r, a subscriber of the channels that p names, the first part of
	// the response. It sends the head, and the rest of p is not the first part any more. If the client cannot be a
	// subscriber, it returns false, and the reply to send instead. It is that of live.Subscribers.
	Subscribe func(x *exchange.Exchange, p *exchange.Part, r *exchange.Request) (refusal exchange.Reply, ok bool)

	// Programs returns the Handler that runs the programs named by other handlers. It is called once,
	// on the event loop, when the first program is named. nil: such requests get 500.
	Programs func() exchange.Handler

	// Ask is exchange.Request.Ask.
	Ask exchange.Asker
}

// Dispatcher gives requests to handlers, and their parts to the exchanges. Its methods must be called on the event loop, but for
// those that say otherwise.
type Dispatcher struct {
	loop        Loop
	set         *conn.Set // with the clock
	cfg         Config
	app         Interpreter          // the one of Serve; nil: none
	used        int64                // conn.Set.Now when a call of an Interpreter has ended last
	programs    *Source              // of Config.Programs; nil: no program was named yet
	publish     func(*exchange.Part) // exchange.Request.Publish
	senderAsked chan struct{}        // see AskForSender

	calls []*call // by ticket
	free  *call
	part  exchange.Part // the one that is being delivered

	// Due says that Interpreter.Flush is to be called, by the next Run.
	Due bool

	taken int // requests submitted since the last Flush

	endsEvents bool // EndEvents was called

	// state is held by the event loop except during Interpreter.Flush, when a handler may run there and not return. Its holder may
	// touch all that belongs to the loop: see Stalled.
	state   sync.Mutex
	running bool // flush is on the stack
}

// New returns a Dispatcher without handlers, whose clients are in set. The caller is the event loop from now on, or hands over to it.
func New(h Loop, set *conn.Set) *Dispatcher {
	d := &Dispatcher{loop: h, set: set, senderAsked: make(chan struct{}, 1)}
	d.publish = func(p *exchange.Part) {
		set.Events.Post(func() {
			d.part = *p
			d.deliver(&d.part)
		})
	}
	d.state.Lock()
	return d
}

// Configure replaces the Config, for handlers of the next Serve.
func (d *Dispatcher) Configure(c Config) { d.cfg = c }

// Serve attaches the interpreter of the application, which may be nil. It may be called again, with one that was not attached before if there was none; the calls before go on.
func (d *Dispatcher) Serve(app Interpreter) {
	d.programs = nil
	for _, c := range d.calls {
		c.former = c.handler != nil
	}
	if d.app = app; app != nil {
		app.Attach(d.cfg.Waker)
	}
}

// HasFormer reports whether a call from before the last Serve has not ended.
func (d *Dispatcher) HasFormer() bool {
	return slices.ContainsFunc(d.calls, func(c *call) bool { return c.former })
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

// deliverAll delivers what the interpreter has finished, and reports whether there was any.
func (d *Dispatcher) deliverAll() (any bool) {
	for d.app != nil && d.app.Next(&d.part) {
		d.deliver(&d.part)
		any = true
	}
	return any
}

// flush has the interpreter start submitted requests.
func (d *Dispatcher) flush() {
	if d.app == nil {
		return
	}
	d.running = true
	d.state.Unlock()
	defer func() {
		d.state.Lock()
		d.running = false
	}()
	d.app.Flush()
}

// AskForSender is eventloop.Waker.AskForSender: it wakes SendDuringTurns.
func (d *Dispatcher) AskForSender() {
	select {
	case d.senderAsked <- struct{}{}:
	default: // it was asked for already
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
	if c.main {
		d.used = d.set.Now
	}
	ticket := c.ticket
	*c = call{} // a literal with the fields below would be made elsewhere and then copied
	c.d, c.ticket, c.next = d, ticket, d.free
	d.free = c
}

// LastUse returns when the last call of the application has ended, by conn.Set.Now. used reports whether it has one, such as a WebSocket.
func (d *Dispatcher) LastUse() (at int64, used bool) {
	return d.used, slices.ContainsFunc(d.calls, func(c *call) bool { return c.main })
}

// Idle reports whether all tickets are free.
func (d *Dispatcher) Idle() bool {
	return !slices.ContainsFunc(d.calls, func(c *call) bool { return c.handler != nil })
}

// frees is for a call that no longer occupies the application.
func (c *call) frees() {
	c.occupies = exchange.OccupiesNothing
	c.d.loop.Occupied(-1)
}
