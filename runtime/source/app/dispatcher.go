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

// Interpreter is the Handler of the application, which the loop polls for parts; other handlers use exchange.Services.
// Interpreter may run on the loop, defer requests and receive signals. On the loop it makes the pieces of a response
// one after the other while another thread sends them.
type Interpreter interface {
	exchange.Handler

	// Flush starts the submitted requests. An inline handler runs within Flush, on the loop. The loop calls Next after
	// every Flush and on every wake-up.
	Flush()

	// Next stores the next finished part and returns the ticket of its exchange. ok is false if no part is finished.
	Next(*exchange.Part) (t exchange.Ticket, ok bool)

	// Attach is called once before the first Submit. The Interpreter must use w when parts wait and the loop may be
	// asleep.
	Attach(w *eventloop.Waker)

	// Resume starts a deferred request. A request with exchange.Request.Pipeline is deferred (exchange.OpDeferred)
	// while the responses to earlier requests of its connection are large. Resume is called on the loop.
	Resume(exchange.Ticket)

	// Attend sets whether another goroutine sends finished parts during Flush. Parts that were finished before
	// Attend(false) are still sent. Attend may be called on any goroutine.
	Attend(bool)

	// InTurn reports whether Flush is in a state in which the holder of Dispatcher.state may call Next on another
	// goroutine. InTurn is safe for concurrent use.
	InTurn() bool

	// Stalled is called on another goroutine at every tick during Flush. Stalled returns the exchange that runs inline,
	// and how long it has been running since the first call that found it; 0 if none runs. Stalled must not block.
	Stalled() (exchange.Ticket, time.Duration)

	// Held reports whether a debugger or a console waits for a developer. A call may return the state at the time of
	// the call before. Held is safe for concurrent use and must not block.
	Held() bool

	// Signalled reports a signal for the application. Signalled is called on the loop.
	Signalled()
}

// Loop is called on the event loop or, while an inline handler blocks the event loop, on a goroutine that holds
// Dispatcher.state.
type Loop interface {
	Flush()

	Occupied(n int)

	// Recover must be deferred where the event loop would not catch a panic: it logs the panic and ends the interrupted
	// work.
	Recover()
}

type Config struct {
	// limits for the heads of requests that handlers pass to an exchange.Continuation
	Limits *http1.Limits
	Waker  *eventloop.Waker // passed to Interpreter.Attach

	// Take answers x with files that a handler names (static.Handed.Take). x must be in turn. p may be released when
	// Take returns.
	Take func(x *exchange.Exchange, p *exchange.Part, r *exchange.Request, name []byte)

	// Subscribe makes the client of an exchange a subscriber of channels (live.Subscribers.Subscribe).
	Subscribe exchange.Continuation

	// Programs returns the Handler of the programs that other handlers name. Programs is called once, on the event
	// loop, for the first program. If it is nil, such requests get 500.
	Programs func() exchange.Handler
}

// Dispatcher passes requests to handlers, and their parts to the exchanges. The methods of Dispatcher must be called on
// the event loop unless their comments say otherwise.
type Dispatcher struct {
	loop        Loop
	set         *conn.Set
	cfg         Config
	app         Interpreter       // set by Serve; nil if the application has none
	used        int64             // conn.Set.Now when the last call of an Interpreter ended
	programs    *Source           // source of Config.Programs; nil before its first use
	services    exchange.Services // services for handlers, except those of a Receiving
	senderAsked chan struct{}

	calls []*call
	free  *call
	part  exchange.Part

	gates []*Gate // with places for calls that wait

	// Due makes the next Run call Interpreter.Flush.
	Due bool

	taken int // number of requests submitted since the last Flush

	endsEvents bool

	// The event loop holds the mutex state, except during Interpreter.Flush, in which a handler may block. The holder
	// of the mutex may access all state of the loop (see Stalled).
	state   sync.Mutex
	running bool
	hinted  bool // an early hint waits in the output of a connection
}

// New returns a Dispatcher without handlers for the connections of set. Handlers make subrequests with ask. New may be
// called before the event loop runs.
func New(h Loop, set *conn.Set, ask exchange.Asker) *Dispatcher {
	d := &Dispatcher{loop: h, set: set, senderAsked: make(chan struct{}, 1)}
	d.services.Ask, d.services.Publish = ask, func(t exchange.Ticket, p *exchange.Part) {
		set.Events.Post(func() {
			d.part = *p
			d.deliver(t, &d.part)
		})
	}
	d.state.Lock()
	return d
}

// Configure sets the configuration for the handlers of the next Serve.
func (d *Dispatcher) Configure(c Config) { d.cfg = c }

// Serve attaches the interpreter of the application, which may be nil. A later call may attach the first interpreter;
// calls of earlier handlers continue.
func (d *Dispatcher) Serve(app Interpreter) {
	d.programs = nil
	for _, c := range d.calls {
		c.outdated = c.source != nil
	}
	if d.app = app; app != nil {
		app.Attach(d.cfg.Waker)
	}
}

// HasFormer reports whether a call that began before the last Serve is active.
func (d *Dispatcher) HasFormer() bool {
	return slices.ContainsFunc(d.calls, func(c *call) bool { return c.outdated })
}

// takenMost is how many requests and messages are submitted before Interpreter.Flush is called, because more of them
// would not fit into the processor's cache.
const takenMost = 256

// took counts a submitted request or message. After takenMost of them, took makes the loop call Interpreter.Flush soon.
func (d *Dispatcher) took() {
	d.Due = true
	if d.taken++; d.taken == takenMost {
		d.cfg.Waker.Wake()
	}
}

func (d *Dispatcher) Signalled() {
	if d.app != nil {
		d.app.Signalled()
	}
	d.Due = true
}

func (d *Dispatcher) Run() {
	if d.Due {
		d.Due, d.taken = false, 0
		for len(d.gates) > 0 {
			g := d.gates[0]
			d.gates = d.gates[1:]
			g.admit()
		}
		d.flush()
	}
	d.deliverAll()
}

// deliverAll sends all finished parts, and reports whether there were any.
func (d *Dispatcher) deliverAll() (any bool) {
	for d.app != nil {
		t, ok := d.app.Next(&d.part)
		if !ok {
			break
		}
		d.deliver(t, &d.part)
		any = true
	}
	return any
}

func (d *Dispatcher) flush() {
	if d.app == nil {
		return
	}
	if d.hinted { // send the hint now, because an inline handler would delay it
		d.hinted = false
		d.loop.Flush()
	}
	d.running = true
	d.state.Unlock()
	defer func() {
		d.state.Lock()
		d.running = false
	}()
	d.app.Flush()
}

// AskForSender wakes SendDuringTurns.
func (d *Dispatcher) AskForSender() {
	select {
	case d.senderAsked <- struct{}{}:
	default:
	}
}

func (d *Dispatcher) SendNow() {
	if !d.running {
		return
	}
	d.state.Lock()
	defer d.state.Unlock()
	defer d.loop.Recover()
	d.deliverAll()
	d.loop.Flush()
}

func (d *Dispatcher) Exchange(t exchange.Ticket) *exchange.Exchange {
	if int(t) >= len(d.calls) {
		return nil
	}
	return d.calls[t].x
}

func (d *Dispatcher) put(c *call) {
	if c.source.options.Main {
		d.used = d.set.Now
	}
	ticket := c.ticket
	// the compiler would copy a composite literal
	*c = call{}
	c.ticket, c.next = ticket, d.free
	d.free = c
}

// LastUse returns the time, by conn.Set.Now, when the last call of the application ended. The result used reports
// whether a call is active, such as a WebSocket.
func (d *Dispatcher) LastUse() (at int64, used bool) {
	return d.used, slices.ContainsFunc(d.calls, func(c *call) bool { return c.source != nil && c.source.options.Main })
}

func (d *Dispatcher) Idle() bool {
	return !slices.ContainsFunc(d.calls, func(c *call) bool { return c.source != nil })
}

func (c *call) frees() {
	c.occupies = exchange.OccupiesNothing
	c.source.d.loop.Occupied(-1)
}
