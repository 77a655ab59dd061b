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

// A call is the state of an exchange that was submitted to a handler. It is the Source of the exchange and the Owner of
// all parts. After the release of the last part, the call is put in a free list.
type call struct {
	x      *exchange.Exchange // nil after the exchange has ended; parts that arrive afterwards are discarded
	source *Source            // nil if the call is in the free list
	ticket exchange.Ticket
	parts  int32 // number of parts that were delivered and not yet released
	next   *call

	peer   *exchange.Peer // peer of the client; nil after the first part
	origin *exchange.Origin
	region exchange.Region // memory of the request body
	extra  []byte          // response fields from another handler, which has forwarded the request to this call
	// the first part of the response, if its Head.Then must be called again when the exchange is in turn; otherwise nil
	waiting *exchange.Part
	// the last part of the response if it was released before other parts; otherwise nil
	last  *exchange.Part
	limit int64
	// value of conn.Set.Now when the timeout for the handler's next part began
	since int64

	occupies exchange.Occupancy
	work     work
	sent     sent
	detached bool // the handler has a duplicate of the connection's descriptor (exchange.Request.Socket)
	gone     bool
	placed   bool // the call has a place in Options.Gate
}

// work is the state of a call's handler.
type work uint8

const (
	idle  work = iota // the handler may deliver a part at any time, or is overdue
	owing             // the handler must deliver the next part before the timeout
	// the handler has not started the request (exchange.OpDeferred)
	deferred
	queued // the request waits for a place (Gate)
	ended  // the handler has delivered the last part
)

// sent is how much of the response was passed to the sink of a call.
type sent uint8

const (
	unsent sent = iota
	begun
	eventStream // the head of an event stream was sent; its client reconnects after a disconnect
)

// restart restarts the timeout for the handler's next part. The timeout begins a tick after conn.Set.Now, because Now
// may be up to a tick behind the clock.
func (c *call) restart() { c.since = c.source.d.set.Now + eventloop.Tick }

func (d *Dispatcher) deliver(t exchange.Ticket, p *exchange.Part) {
	c := d.calls[t]
	defer d.set.Guard(c.x.Conn())
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
		if c.placed {
			c.leave()
		}
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

// begin sends the first part. If Head.Then of the part is not nil, begin first calls Head.Then.Continue, which can
// delay the part or pass the exchange to a different source.
func (c *call) begin(p *exchange.Part) {
	if c.extra != nil {
		p.Head.Fields, c.extra = http1.MergeFields(p.Head.Fields, c.extra), nil
	}
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
				c.work = idle
			}
			if c.occupies == exchange.OccupiesUntilEnd {
				c.frees()
			}
		}
	}
	c.sent = begun
	// Only a first part that names a program or a channel needs the peer.
	c.peer = nil
	x := c.x
	if !p.Last() && x.Safe && http1.HasPrefixFold([]byte(http1.FieldValue(p.Head.Fields, contentType)),
		"text/event-stream") {
		c.sent = eventStream
	}
	x.Sink.Send(p)
	if c.sent == eventStream && c.source.d.endsEvents {
		c.endEvents()
	}
}

var contentType = []byte("content-type")

// EndEvents ends event streams: the current ones, and each new one after its first part. Otherwise, a stream that waits
// for an event would delay the end of the server. Streams in response to requests with an unsafe method are not ended,
// because clients do not repeat such requests.
func (d *Dispatcher) EndEvents() {
	d.endsEvents = true
	for _, c := range d.calls {
		c.endEvents()
	}
}

// endEvents ends the response if it is an event stream. OpClose with GoingAway tells the handler that the client has
// disconnected, and makes it end soon even if the application does not notice.
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

// Release passes a released part to the handler. The handler gets the last part of a call after all other parts. When a
// client disconnects, an earlier part that is still being written may be released after the last part.
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

// Start is called when the exchange is in turn, or shortly before it is in turn.
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
		// Restart the timeout: the application notices the disconnect through its descriptor, and may need time to end.
		c.restart()
	}
	c.cancel(0)
}

// cancel reports to the handler that no client needs its response.
func (c *call) cancel(took time.Duration) {
	d := c.source.d
	d.set.Tracef("request %d is cancelled", c.ticket)
	c.source.handler.Cancel(c.ticket, took)
	d.Due = true // Flush must be called, so that an inline handler can close its iterators
}

func (c *call) end(p *exchange.Part) {
	c.x = nil
	if !p.Last() {
		c.cancel(0)
	}
	c.Release(p)
}

func (c *call) Input(x *exchange.Exchange, input exchange.Input) {
	switch c.work {
	case ended:
		return
	case queued:
		h := c.source.options.Gate.of(c)
		input.Data = bytes.Clone(input.Data)
		h.input = append(h.input, input)
		return
	}
	input.Ticket = c.ticket
	c.source.handler.Deliver(input)
	d := c.source.d
	d.Due = true
	switch input.Op {
	case exchange.OpBody:
		c.restart()
	case exchange.OpText, exchange.OpBinary:
		c.restart()
		d.took()
	}
}

func (c *call) putBack() {
	c.work = deferred
	// Even if no client needs the response, the handler must run and deliver the last part, which releases the call.
	if c.x == nil || c.gone {
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

// Tick ends exchanges whose handler has not delivered a part in time.
func (d *Dispatcher) Tick() {
	now, held := d.set.Now, d.app != nil && d.app.Held()
	for _, c := range d.calls {
		if c.work == queued || c.work == owing && c.limit > 0 {
			c.tick(now, held)
		}
	}
}

func (c *call) tick(now int64, held bool) {
	d := c.source.d
	defer d.set.Guard(c.x.Conn())
	switch {
	case c.work == queued:
		if now-c.since >= cmp.Or(c.limit, int64(gateTimeout)) {
			g := c.source.options.Gate
			g.refuse(c.giveUp())
		}
	case held, c.waitsForClient():
		c.restart() // the handler waits for a developer or for the client
	case now-c.since >= d.limitOf(c):
		c.overdue(time.Duration(now - c.since))
	}
}

// limitOf returns the timeout of c, which is one tick longer in development, because Interpreter.Held may notice a
// waiting debugger one tick late.
func (d *Dispatcher) limitOf(c *call) int64 {
	if d.set.Debug > 0 {
		return c.limit + eventloop.Tick
	}
	return c.limit
}

// AwaitsPart returns the number of exchanges that may become overdue, including exchanges whose client has
// disconnected.
func (d *Dispatcher) AwaitsPart() (n int) {
	for _, c := range d.calls {
		if c.work == owing && c.limit > 0 {
			n++
		}
	}
	return n
}

// Stalled ends an overdue exchange whose inline handler blocks the event loop. Stalled must be called at every tick on
// a goroutine other than the event loop's; this goroutine may access the state of the event loop while the handler
// runs.
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
	c := d.calls[t]
	defer d.loop.Recover()
	defer d.set.Guard(c.x.Conn())
	if c.work == owing && !c.detached && c.limit > 0 && int64(took) > d.limitOf(c) {
		c.overdue(took)
		d.loop.Flush()
	}
}

// waitsForClient reports whether the handler may be waiting for its client, for example because it has a duplicate of
// the client's descriptor.
func (c *call) waitsForClient() bool {
	return c.x != nil && !c.gone && (c.detached || c.x.WaitsForClient())
}

// overdue sends 504 instead of the handler's response, or aborts the response if it has begun, and discards later
// parts.
func (c *call) overdue(took time.Duration) {
	if c.work == owing {
		c.work = idle
	}
	if c.occupies != exchange.OccupiesNothing { // the handler no longer occupies the application
		c.frees()
	}
	x := c.x
	c.x = nil
	if x != nil {
		if c.sent != unsent || c.gone {
			x.Stop(true)
		} else {
			r := exchange.Reply{Status: 504}
			if x.ShowsDetails() {
				r.Text, r.Details = c.source.d.app.Explain(c.ticket, time.Duration(c.limit))
			}
			x.Answer(r)
		}
	}
	c.cancel(took)
}

// ExcludeBlockedTime extends all timeouts by gap, the time in nanoseconds during which an inline handler has blocked
// the event loop.
func (d *Dispatcher) ExcludeBlockedTime(gap int64) {
	for _, c := range d.calls {
		c.since = min(c.since+gap, d.set.Now+eventloop.Tick)
	}
}
