package app

import (
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/websocket"
)

// call is the state of an exchange that a handler has, from Submit until its last part is released. It is the Source of the
// exchange, and the Owner of all parts. Calls are used again, so a request costs no allocation.
type call struct {
	d       *Dispatcher
	x       *exchange.Exchange // nil: it has ended, and later parts are dropped
	handler exchange.Handler
	ticket  exchange.Ticket
	parts   int32 // that were delivered and are not released
	next    *call // in the list of free ones

	receiver *Receiving // that has the handler receive the body, or nil
	peer     *exchange.Peer
	extra    []byte         // fields that a handler adds to the response of another
	waiting  *exchange.Part // names files or a program, and waits for its turn
	last     *exchange.Part // released before others
	limit    int64          // Options.Timeout
	since    int64          // conn.Set.Now when the handler began to owe the next part
	errorLog int            // exchange.Request.ErrorLog
	root     int            // exchange.Request.Root
	traced   bool           // exchange.Request.Traced

	occupies exchange.Occupancy
	depth    uint8 // exchange.Request.Depth, which is at most exchange.MaxDepth
	owed     bool  // the handler has to make the next part
	deferred bool  // the handler has not started it (exchange.OpDeferred)
	detached bool  // the handler has a duplicate of the connection's descriptor (exchange.Request.Socket)
	begun    bool  // the sink has got the head
	ended    bool  // the handler has made the last part
	gone     bool  // OnGone was called
	main     bool  // the handler is that of the application
	former   bool  // it is from before the last Serve
	events   bool  // the response is an event stream whose client would reconnect
}

// restart has the time of the part that the handler owes begin now: with the next tick, as the clock may be a tick late.
func (c *call) restart() { c.since = c.d.set.Now + eventloop.Tick }

// deliver takes a part that a handler has made.
func (d *Dispatcher) deliver(p *exchange.Part) {
	c := d.calls[p.Ticket]
	p.Owner = c
	c.parts++
	c.restart()
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
	if p.Last {
		c.owed = false
		c.ended = true
	}
	switch {
	case c.x == nil:
		c.Release(p)
		return
	case p.First:
		if p.Head.Instead != exchange.Itself && c.answersInstead(p) {
			return
		}
		c.begun = true
		if p.Head.WebSocket {
			c.owed = false // messages come when they come: no timeout
		}
		if c.extra != nil {
			p.Head.Fields = exchange.MergeFields(p.Head.Fields, c.extra)
		}
		if len(p.Head.Channel) > 0 && p.Head.Status == 200 && !c.subscribes(p) {
			return
		}
		c.peer = nil // it was for a program or a subscriber, which only a head can name
		if !p.Last && c.x.Safe && http1.HasPrefixFold([]byte(exchange.FieldValue(p.Head.Fields, contentType)), "text/event-stream") {
			c.events = true
			defer c.endEventsIf(d.endsEvents)
		}
	}
	c.x.Sink.Send(p)
}

var contentType = []byte("content-type")

// EndEvents ends all event streams, and from now on each new one after its first part. Otherwise one that waits for an event would
// hold up the end of the server. Clients reconnect; the response to a POST is not requested again, and may be finished.
func (d *Dispatcher) EndEvents() {
	d.endsEvents = true
	for _, c := range d.calls {
		c.endEventsIf(c.events)
	}
}

// endEventsIf ends the response, and tells the handler that its client has disconnected. OpClose with GoingAway says that the
// application must end soon, even if it does not notice that.
func (c *call) endEventsIf(due bool) {
	x := c.x
	if !due || x == nil || c.ended || c.gone {
		return
	}
	c.x = nil
	c.handler.Deliver(exchange.Input{Ticket: c.ticket, Op: exchange.OpClose, Code: websocket.GoingAway})
	c.cancel(0)
	x.CutShort()
}

// Release implements exchange.Owner. The handler gets the last part back after all others: when a client leaves, one that
// is being written is released after those that wait for it.
func (c *call) Release(p *exchange.Part) {
	c.parts--
	if p.Last && c.parts > 0 {
		kept := *p
		c.last = &kept
		return
	}
	last := p.Last
	c.handler.Release(p)
	if c.last != nil && c.parts == 0 {
		last = true
		c.handler.Release(c.last)
	}
	if last {
		c.d.put(c)
	}
}

// Start implements exchange.Source: the turn of x has come, or is near.
func (c *call) Start(*exchange.Exchange) {
	switch p := c.waiting; {
	case p != nil:
		c.waiting = nil
		c.answerNamed(p)
	case c.deferred:
		c.resume()
	}
}

// OnGone implements exchange.Source: it cancels the call.
func (c *call) OnGone(x *exchange.Exchange) {
	if p := c.waiting; p != nil {
		c.waiting = nil
		c.end(p)
		x.BreakOff()
		return
	}
	c.gone = true
	if c.deferred {
		c.resume()
	}
	if c.detached {
		c.restart() // the descriptor tells the application from now on
	}
	c.cancel(0)
}

// cancel tells the handler that its response is not wanted. took is as for Handler.Cancel.
func (c *call) cancel(took time.Duration) {
	c.d.set.Tracef("exchange %d is cancelled", c.ticket)
	c.handler.Cancel(c.ticket, took)
	c.d.Due = true // an inline handler closes its iterators in Flush
}

// end makes the call end with p, although the exchange goes on without it.
func (c *call) end(p *exchange.Part) {
	c.x = nil
	if !p.Last {
		c.cancel(0)
	}
	c.Release(p)
}

// Input implements exchange.Source.
func (c *call) Input(x *exchange.Exchange, in exchange.Input) {
	if c.ended {
		return
	}
	in.Ticket = c.ticket
	c.handler.Deliver(in)
	d := c.d
	d.Due = true
	switch in.Op {
	case exchange.OpBody:
		c.restart()
	case exchange.OpText, exchange.OpBinary:
		c.restart()
		d.took()
	}
}

// putBack is called when the handler does not start the call before it is told to.
func (c *call) putBack() {
	c.owed = false
	c.deferred = true
	if c.x == nil || c.gone { // the last part has to come
		c.resume()
		return
	}
	c.x.AwaitTurn(true)
}

// resume has the handler start a deferred call.
func (c *call) resume() {
	c.deferred, c.owed = false, true
	c.restart()
	c.d.app.Resume(c.ticket)
	c.d.Due = true
}

const (
	// attendEvery is how long a finished part waits at most while its handler, which runs on the loop, makes the next one.
	attendEvery = time.Millisecond

	// attendFor is how many rounds without such a part end the attendance.
	attendFor = 50
)

// SendDuringTurns sends finished parts of a handler that runs on the event loop, while the handler makes more: a hundred quick chunks leave
// together then, and a chunk before a slow one does not wait for it (PEP 3333). It returns when ended is closed, and must be called on
// a separate goroutine.
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
		d.sendMeanwhile() // parts that were finished before the handler could see that
	}
}

// sendMeanwhile sends finished parts if the handler is at work on the loop, and reports whether there were any. Not on
// the loop.
func (d *Dispatcher) sendMeanwhile() (sent bool) {
	if !d.state.TryLock() {
		return false // the loop does its own work, and sends by itself
	}
	defer d.state.Unlock()
	if !d.app.InTurn() {
		return false // the loop is about to
	}
	defer d.loop.Recover()
	sent = d.deliverAll()
	d.loop.Flush()
	return sent
}

// A handler owes a part of each exchange that was submitted, and call.since is when it began to. Tick looks at all of them; a request
// pays a store for that.

// Tick ends the exchanges whose handler has owed a part for too long.
func (d *Dispatcher) Tick() {
	now, held := d.set.Now, d.app != nil && d.app.Held()
	for _, c := range d.calls {
		switch {
		case !c.owed || c.limit == 0:
		case held, c.waitsForClient():
			c.restart() // this is the time of a developer, or of its client
		case now-c.since >= c.limit:
			c.overdue(time.Duration(now - c.since))
		}
	}
}

// Owed returns the number of exchanges that may become overdue, also those without a client.
func (d *Dispatcher) Owed() (n int) {
	for _, c := range d.calls {
		if c.owed && c.limit > 0 {
			n++
		}
	}
	return n
}

// Stalled answers for a handler that runs inline and does not return in time: it keeps the event loop from answering. The next
// requests wait for the handler all the same. It must be called on another goroutine at every tick: while the handler
// runs, that may touch all that is the loop's.
func (d *Dispatcher) Stalled() {
	if !d.state.TryLock() {
		return // the loop does its own work
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
	if c.owed && !c.detached && c.limit > 0 && int64(took) > c.limit {
		c.overdue(took)
		d.loop.Flush()
	}
}

// waitsForClient reports whether the handler may be waiting for its client. With a detached descriptor it may at any time.
func (c *call) waitsForClient() bool {
	return c.x != nil && !c.gone && (c.detached || c.x.WaitsForClient())
}

// overdue answers for the handler, as far as that goes: with 504, or by breaking off the response when it has begun. Parts that
// still come are released unseen.
func (c *call) overdue(took time.Duration) {
	c.owed = false
	if c.occupies != exchange.OccupiesNothing { // its thread does not count any more, either
		c.frees()
	}
	x := c.x
	c.x = nil
	if x != nil {
		if c.begun || c.gone {
			x.BreakOff()
		} else {
			x.Answer(exchange.Reply{Status: 504})
		}
	}
	c.cancel(took)
}

// ExcludeBlockedTime does not count the time, in nanoseconds, for which the event loop itself was held up, by a handler that runs
// inline.
func (d *Dispatcher) ExcludeBlockedTime(gap int64) {
	for _, c := range d.calls {
		c.since = min(c.since+gap, d.set.Now+eventloop.Tick)
	}
}
