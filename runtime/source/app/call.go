package app

import (
	"bytes"
	"cmp"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/websocket"
)

// A call is the state of an exchange of a handler, from Submit until its last part is released. A call is the Source of
// the exchange and the Owner of all parts. Calls are reused, so that a request needs no allocation.
type call struct {
	x      *exchange.Exchange // nil after the exchange has ended: later parts are discarded
	source *Source            // nil if the call is in the free list
	ticket exchange.Ticket
	parts  int32 // parts that were delivered and not yet released
	next   *call

	peer   *exchange.Peer // the client; nil after the first part
	origin *exchange.Origin
	extra  []byte // fields that a handler adds to another handler's response
	// the first part of the response while its Then waits for the turn of the exchange; otherwise nil
	waiting *exchange.Part
	// the last part of the response if it was released before other parts; otherwise nil
	last  *exchange.Part
	limit int64 // Options.Timeout
	// conn.Set.Now when the wait for the handler's next part of the response began
	since int64

	occupies exchange.Occupancy
	work     work
	sent     sent
	detached bool // the handler has a duplicate of the connection's descriptor (exchange.Request.Socket)
	gone     bool
	placed   bool // the call has a place of Options.Gate
	// the request if it waits for a place of Options.Gate; otherwise nil
	held     *held
	outdated bool // the call began before the last Serve
}

// work is what the handler of a call does.
type work uint8

const (
	idle  work = iota // the handler may make a part at any time, or is overdue
	owing             // the handler must make the next part before the timeout
	// the handler has not started the request (exchange.OpDeferred)
	deferred
	queued // the request waits for a place (Gate)
	ended  // the handler has made the last part
)

// sent is how much of the response the sink of a call has received.
type sent uint8

const (
	unsent sent = iota
	begun
	eventStream // the head of an event stream, whose client would reconnect
)

// restart restarts the timeout of the part that the handler must send next. The timeout begins at the next tick,
// because the clock may be a tick late.
func (c *call) restart() { c.since = c.source.d.set.Now + eventloop.Tick }

func (d *Dispatcher) deliver(t exchange.Ticket, p *exchange.Part) {
	c := d.calls[t]
	p.Owner = c
	c.parts++
	if !p.Interim { // interim responses do not extend the timeout
		c.restart()
	}
	switch p.Op {
	case exchange.OpCredit:
		if c.x != nil {
			c.x.Sink.Send(p)
		} else {
			c.Release(p)
		}
		return
	case exchange.OpDeferred:
		c.Release(p)
		c.putBack()
		return
	}
	if c.occupies != exchange.OccupiesNothing && c.occupies.EndsWith(p) {
		c.frees()
	}
	if p.Last() {
		c.work = ended
		c.leave()
	}
	switch {
	case c.x == nil:
		c.Release(p)
	case p.First:
		c.begin(p)
	default:
		c.x.Sink.Send(p)
	}
}

// begin sends the first part, or calls the Then of its head.
func (c *call) begin(p *exchange.Part) {
	if then := p.Head.Then; then != nil {
		switch then.Continue(c.x, p) {
		case exchange.Taken:
			c.end(p)
			return
		case exchange.Later:
			kept := *p
			c.waiting = &kept
			c.x.AwaitTurn(false)
			return
		case exchange.Opened:
			if c.work == owing {
				c.work = idle // messages have no timeout
			}
			if c.occupies == exchange.OccupiesUntilEnd {
				c.frees()
			}
		}
	}
	c.sent = begun
	c.mergeExtra(p)
	// Only the first part can name a program or a channel, for which the peer is needed.
	c.peer = nil
	x := c.x
	if !p.Last() && x.Safe && http1.HasPrefixFold([]byte(http1.FieldValue(p.Head.Fields, contentType)),
		"text/event-stream") {
		c.sent = eventStream
	}
	x.Sink.Send(p)
	if c.sent == eventStream && c.source.d.endsEvents { // the calls above may have ended c
		c.endEvents()
	}
}

var contentType = []byte("content-type")

// EndEvents ends all event streams, and each new event stream after its first part: a stream that waits for an event
// would delay the end of the server. Clients reconnect. A response to a POST may finish, because clients do not request
// it again.
func (d *Dispatcher) EndEvents() {
	d.endsEvents = true
	for _, c := range d.calls {
		c.endEvents()
	}
}

// endEvents ends the response if it is an event stream, and reports a disconnect to the handler. OpClose with GoingAway
// means that the application must end soon, even if it does not notice the disconnect.
func (c *call) endEvents() {
	x := c.x
	if c.sent != eventStream || x == nil || c.work == ended || c.gone {
		return
	}
	c.x = nil
	c.source.handler.Deliver(exchange.Input{Ticket: c.ticket, Op: exchange.OpClose, Code: websocket.GoingAway})
	c.cancel(0)
	x.Stop(false)
}

// Release releases the parts of the call and passes them to the handler, the last part after all others: when a client
// disconnects, the part that is being written is released late.
func (c *call) Release(p *exchange.Part) {
	c.parts--
	if p.Last() && c.parts > 0 {
		kept := *p
		c.last = &kept
		return
	}
	last := p.Last()
	c.source.handler.Release(p)
	if c.last != nil && c.parts == 0 {
		last = true
		c.source.handler.Release(c.last)
	}
	if last {
		c.source.d.put(c)
	}
}

// Start is called when the exchange is in turn, or shortly before.
func (c *call) Start(*exchange.Exchange) {
	switch p := c.waiting; {
	case p != nil:
		c.waiting = nil
		c.begin(p)
	case c.work == deferred:
		c.resume()
	}
}

func (c *call) OnGone(x *exchange.Exchange) {
	if c.work == queued {
		c.giveUp().Stop(true)
		return
	}
	if p := c.waiting; p != nil {
		c.waiting = nil
		c.end(p)
		x.Stop(true)
		return
	}
	c.gone = true
	if c.work == deferred {
		c.resume()
	}
	if c.detached {
		// The application notices the disconnect through its descriptor.
		c.restart()
	}
	c.cancel(0)
}

// cancel reports to the handler that no client needs its response. took is as in Handler.Cancel.
func (c *call) cancel(took time.Duration) {
	d := c.source.d
	d.set.Tracef("exchange %d is cancelled", c.ticket)
	c.source.handler.Cancel(c.ticket, took)
	d.Due = true // an inline handler closes its iterators in Flush
}

func (c *call) end(p *exchange.Part) {
	c.x = nil
	if !p.Last() {
		c.cancel(0)
	}
	c.Release(p)
}

func (c *call) Input(x *exchange.Exchange, in exchange.Input) {
	switch c.work {
	case ended:
		return
	case queued:
		in.Data = bytes.Clone(in.Data)
		c.held.input = append(c.held.input, in)
		return
	}
	in.Ticket = c.ticket
	c.source.handler.Deliver(in)
	d := c.source.d
	d.Due = true
	switch in.Op {
	case exchange.OpBody:
		c.restart()
	case exchange.OpText, exchange.OpBinary:
		c.restart()
		d.took()
	}
}

func (c *call) putBack() {
	c.work = deferred
	if c.x == nil || c.gone { // the handler must still make the last part
		c.resume()
		return
	}
	c.x.AwaitTurn(true)
}

func (c *call) resume() {
	c.work = owing
	c.restart()
	d := c.source.d
	d.app.Resume(c.ticket)
	d.Due = true
}

const (
	// attendEvery is the maximum delay of a finished part while its inline handler makes the next part.
	attendEvery = time.Millisecond

	// attendFor is the number of checks without a finished part after which the sending ends.
	attendFor = 50
)

// SendDuringTurns sends finished parts of an inline handler while the handler makes more. A hundred quick chunks are
// then sent together, and a chunk before a slow chunk does not wait (PEP 3333). SendDuringTurns must be called on a
// separate goroutine, and returns when ended is closed.
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
		// Send the parts that were finished before the handler noticed the end.
		d.sendMeanwhile()
	}
}

// sendMeanwhile sends finished parts if the handler is running on the loop, and reports whether there were any.
// sendMeanwhile must not be called on the loop.
func (d *Dispatcher) sendMeanwhile() (sent bool) {
	if !d.state.TryLock() {
		return false // the loop is running and sends the parts itself
	}
	defer d.state.Unlock()
	if !d.app.InTurn() {
		return false // the loop will send the parts soon
	}
	defer d.loop.Recover()
	sent = d.deliverAll()
	d.loop.Flush()
	return sent
}

// Tick ends the exchanges whose handler has owed a part for too long. Tick checks all calls, so that a request need
// only store call.since.
func (d *Dispatcher) Tick() {
	now, held := d.set.Now, d.app != nil && d.app.Held()
	for _, c := range d.calls {
		switch {
		case c.work == queued && now-c.since >= cmp.Or(c.limit, int64(gateTimeout)):
			g := c.source.options.Gate
			g.refuse(c.giveUp())
		case c.work != owing || c.limit == 0:
		case held, c.waitsForClient():
			c.restart() // a developer or the client is the reason for the delay
		case now-c.since >= d.limitOf(c):
			c.overdue(time.Duration(now - c.since))
		}
	}
}

// limitOf returns the limit of c, which is longer by a tick in development: Interpreter.Held may notice a developer one
// tick late.
func (d *Dispatcher) limitOf(c *call) int64 {
	if d.set.Debug > 0 {
		return c.limit + eventloop.Tick
	}
	return c.limit
}

// AwaitsPart returns the number of exchanges that may become overdue, with or without a client.
func (d *Dispatcher) AwaitsPart() (n int) {
	for _, c := range d.calls {
		if c.work == owing && c.limit > 0 {
			n++
		}
	}
	return n
}

// Stalled ends an overdue exchange whose inline handler blocks the event loop. Further requests still wait for the
// handler. Stalled must be called on another goroutine at every tick: while the handler runs, that goroutine may access
// the state of the loop.
func (d *Dispatcher) Stalled() {
	if !d.state.TryLock() {
		return
	}
	defer d.state.Unlock()
	if d.app == nil {
		return
	}
	t, took := d.app.Stalled()
	if took == 0 {
		return
	}
	defer d.loop.Recover()
	c := d.calls[t]
	if c.work == owing && !c.detached && c.limit > 0 && int64(took) > d.limitOf(c) {
		c.overdue(took)
		d.loop.Flush()
	}
}

// waitsForClient reports whether the handler may be waiting for its client, which is always possible with a detached
// descriptor.
func (c *call) waitsForClient() bool {
	return c.x != nil && !c.gone && (c.detached || c.x.WaitsForClient())
}

// overdue sends 504 instead of the handler's response, or aborts the response if it has begun. Later parts of the
// handler are discarded.
func (c *call) overdue(took time.Duration) {
	if c.work == owing {
		c.work = idle
	}
	if c.occupies != exchange.OccupiesNothing { // the handler no longer counts as occupying the application
		c.frees()
	}
	x := c.x
	c.x = nil
	if x != nil {
		if c.sent != unsent || c.gone {
			x.Stop(true)
		} else {
			x.Answer(exchange.Reply{Status: 504})
		}
	}
	c.cancel(took)
}

// ExcludeBlockedTime excludes gap from all timeouts: the time, in nanoseconds, in which an inline handler has blocked
// the loop.
func (d *Dispatcher) ExcludeBlockedTime(gap int64) {
	for _, c := range d.calls {
		c.since = min(c.since+gap, d.set.Now+eventloop.Tick)
	}
}
