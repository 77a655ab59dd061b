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

// Interpreter is the Handler of the application. The event loop polls an Interpreter for parts; all other handlers post
// parts with exchange.Services. An Interpreter may run on the event loop (inline), defer requests and receive signals.
type Interpreter interface {
	exchange.Handler

	// Flush starts the submitted requests. An inline handler runs within Flush, on the event loop. The event loop calls
	// Next after each Flush and each wake-up.
	Flush()

	// Next stores the next finished part and returns the ticket of the part's exchange. ok is false if no part is
	// finished.
	Next(*exchange.Part) (t exchange.Ticket, ok bool)

	// Attach is called once before the first Submit. The Interpreter must wake the event loop with w when parts are
	// finished and the event loop may be asleep.
	Attach(w *eventloop.Waker)

	// Resume starts a deferred request. A request with exchange.Request.Pipeline is deferred (exchange.OpDeferred)
	// while the responses to earlier requests of its connection are large. Resume is called on the loop.
	Resume(exchange.Ticket)

	// Attend tells the Interpreter whether another goroutine sends finished parts during Flush. Parts that were
	// finished before Attend(false) are still sent. Any goroutine may call Attend.
	Attend(bool)

	// InTurn reports, on any goroutine, whether Flush is in a state in which another goroutine may call Next while it
	// holds the mutex Dispatcher.state.
	InTurn() bool

	// Stalled is called on another goroutine at every tick during Flush. Stalled returns the exchange that runs inline,
	// and the time since Stalled returned this exchange for the first time, or 0 if no exchange runs inline. Stalled
	// must not block.
	Stalled() (exchange.Ticket, time.Duration)

	// Held reports, on any goroutine and without blocking, whether a debugger or a console waits for a developer, now
	// or at the time of the previous call.
	Held() bool

	// Explain describes, for a developer, why the exchange has exceeded its timeout: in a sentence or two, and by the
	// lines of code that the handler executes. Both are "" if the reason is unknown. Explain blocks for at most a second.
	Explain(ticket exchange.Ticket, timeout time.Duration) (text, details string)

	// Signalled tells the Interpreter, on the event loop, that the application has received a signal.
	Signalled()
}

// The methods of a Loop are called on the event loop or, while an inline handler blocks the event loop, on a goroutine
// that holds the mutex Dispatcher.state.
type Loop interface {
	Flush()

	// AfterPoll makes the loop call f after it has handled the events that are ready now.
	AfterPoll(f func())

	Occupied(n int)

	// Recover, deferred on goroutines other than the event loop's, logs a panic and ends the interrupted work.
	Recover()
}

type Config struct {
	// limits for the heads of requests that handlers pass to an exchange.Continuation
	Limits *http1.Limits
	Waker  *eventloop.Waker // passed to Interpreter.Attach

	HTTP1Hints bool // passed to handlers in exchange.Services

	// Take responds to x with a file that a handler names (static.Handed.Take). x must be in turn. After Take has
	// returned, the caller may release p.
	Take func(x *exchange.Exchange, p *exchange.Part, r *exchange.Request, name []byte)

	// Subscribe makes the client of an exchange a subscriber of channels (live.Subscribers.Subscribe).
	Subscribe exchange.Continuation

	// Programs returns the Handler that runs a program if another handler asks for it. Programs is called once, on the
	// event loop, for the first program. If the field is nil, the response has status 500.
	Programs func() exchange.Handler
}

// Dispatcher passes requests to handlers, and passes the parts of the responses to the exchanges. All methods must be
// called on the event loop unless their comments say otherwise.
type Dispatcher struct {
	loop        Loop
	set         *conn.Set
	cfg         Config
	app         Interpreter       // set by Serve; nil without an application
	used        int64             // value of conn.Set.Now when the application's last call ended
	programs    *Source           // source of Config.Programs; nil before its first use
	services    exchange.Services // services for handlers, except the first handler of a Receiving
	senderAsked chan struct{}

	calls []*call
	free  *call
	part  exchange.Part

	former []*call // active calls of previous applications

	// Due is true if the event loop must call Flush before it waits.
	Due bool

	taken int // number of requests submitted since the last Flush

	endsEvents bool

	// The event loop holds the mutex state, except during Interpreter.Flush, in which a handler may block. The holder
	// of the mutex may access all data of the event loop (see Stalled).
	state   sync.Mutex
	running bool
	hinted  bool // an early hint waits in the output of a connection
}

// New returns a Dispatcher without handlers for the connections in set. Handlers use the function ask for subrequests.
// New may be called before the event loop runs.
func New(loop Loop, set *conn.Set, secure *conn.TLSServer, ask exchange.Asker) *Dispatcher {
	d := &Dispatcher{loop: loop, set: set, senderAsked: make(chan struct{}, 1)}
	d.services.Ask, d.services.Publish = ask, func(t exchange.Ticket, p *exchange.Part) {
		set.Events.Post(func() {
			d.part = *p
			d.deliver(t, &d.part)
		})
	}
	d.services.Deliver, d.services.Conns, d.services.Secure = d.deliver, set, secure
	d.state.Lock()
	return d
}

func (d *Dispatcher) Configure(c Config) {
	d.cfg = c
	d.services.HTTP1Hints = c.HTTP1Hints
}

// Serve attaches the interpreter of the application; nil means no application. Serve may be called again, and active
// calls of the previous application then continue.
func (d *Dispatcher) Serve(app Interpreter) {
	d.programs = nil
	d.former = slices.DeleteFunc(slices.Clone(d.calls), func(c *call) bool { return c.source == nil })
	if d.app = app; app != nil {
		app.Attach(d.cfg.Waker)
	}
}

// HasFormer reports whether a call of a previous application (Serve) is active.
func (d *Dispatcher) HasFormer() bool { return len(d.former) > 0 }

// takenMost limits how many requests and messages are submitted before Interpreter.Flush is called, because a larger
// batch would not fit into the processor's cache.
const takenMost = 256

// took counts a submitted request or message. When the number is takenMost, took wakes the loop, which calls
// Interpreter.Flush.
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

// Deliver sends all finished parts, and reports whether there were any.
func (d *Dispatcher) Deliver() (progress bool) {
	for d.app != nil {
		t, ok := d.app.Next(&d.part)
		if !ok {
			break
		}
		d.deliver(t, &d.part)
		progress = true
	}
	return progress
}

// Flush starts the submitted requests.
func (d *Dispatcher) Flush() {
	d.Due, d.taken = false, 0
	if d.app == nil {
		return
	}
	if d.hinted { // send the early hint now, because an inline handler would delay it
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

const (
	// attendEvery is the maximum delay of a finished part while its inline handler produces the next part.
	attendEvery = time.Millisecond

	// attendFor is the number of consecutive checks without a finished part after which SendDuringTurns waits for the
	// next AskForSender.
	attendFor = 50
)

// SendDuringTurns sends finished parts of an inline handler while the handler produces more parts. Therefore a chunk is
// sent even if the next chunk takes long (PEP 3333), and chunks in quick succession are sent together. SendDuringTurns
// must be called on a separate goroutine, and returns when the channel ended is closed.
func (d *Dispatcher) SendDuringTurns(ended <-chan struct{}) {
	for {
		select {
		case <-d.senderAsked:
		case <-ended:
			return
		}
		d.app.Attend(true)
		for idle := 0; idle < attendFor; idle++ {
			time.Sleep(attendEvery)
			if d.sendMeanwhile() {
				idle = 0
			}
		}
		d.app.Attend(false)
		// Send the parts that the handler finished before Attend(false).
		d.sendMeanwhile()
	}
}

// sendMeanwhile, called on another goroutine while the handler runs on the event loop, sends finished parts and reports
// whether there were any.
func (d *Dispatcher) sendMeanwhile() (sent bool) {
	if !d.state.TryLock() {
		return false // the loop is running and sends the parts itself
	}
	defer d.state.Unlock()
	if !d.app.InTurn() {
		return false // the loop will send the parts soon
	}
	defer d.loop.Recover()
	sent = d.Deliver()
	d.loop.Flush()
	return sent
}

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
	d.Deliver()
	d.loop.Flush()
}

func (d *Dispatcher) Exchange(t exchange.Ticket) *exchange.Exchange {
	if int(t) >= len(d.calls) {
		return nil
	}
	return d.calls[t].x
}

func (d *Dispatcher) put(c *call) {
	c.region.Release()
	if c.source.options.Main {
		d.used = d.set.Now
	}
	if len(d.former) > 0 {
		d.former = slices.DeleteFunc(d.former, func(other *call) bool { return other == c })
	}
	ticket := c.ticket
	// set the fields separately, because the compiler would copy a composite literal
	*c = call{}
	c.ticket, c.next = ticket, d.free
	d.free = c
}

// LastUse returns the value of conn.Set.Now when the application's last call ended, and reports whether a call is
// active, for example a WebSocket.
func (d *Dispatcher) LastUse() (now int64, used bool) {
	return d.used, slices.ContainsFunc(d.calls, func(c *call) bool { return c.source != nil && c.source.options.Main })
}

func (d *Dispatcher) Idle() bool {
	return !slices.ContainsFunc(d.calls, func(c *call) bool { return c.source != nil })
}

func (c *call) frees() {
	c.occupies = exchange.OccupiesNothing
	c.source.d.loop.Occupied(-1)
}
