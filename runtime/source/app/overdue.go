package app

import (
	"time"

	"fapws/runtime/exchange"
)

// A handler owes a part of each exchange that was submitted, and call.since is when it began to. If some Source has a timeout, Tick
// looks at all of them; a request pays a store for that.

// Tick ends the exchanges whose handler has owed a part for too long.
func (d *Dispatcher) Tick() {
	d.dropFormer()
	if !d.limited {
		return
	}
	now := d.host.Now()
	for _, c := range d.calls {
		if c.owed && c.late(now) && !c.waitsForClient() {
			c.overdue(time.Duration(now - c.since))
		}
	}
}

// moment returns the time for call.since: exactly, where a timeout counts.
func (d *Dispatcher) moment() int64 {
	if d.limited {
		return d.host.Exact()
	}
	return d.host.Now()
}

// Owed returns the number of exchanges that may become overdue, also those without a client.
func (d *Dispatcher) Owed() int {
	if !d.limited {
		return 0
	}
	return d.owed
}

// Stalled answers for a handler that runs inline and does not return in time: it keeps the event loop from answering. The next
// requests wait for the handler all the same. It must be called on another goroutine at every tick: while the handler
// runs, that may touch all that is the loop's.
func (d *Dispatcher) Stalled() {
	if !d.state.TryLock() {
		return // the loop does its own work
	}
	defer d.state.Unlock()
	if !d.limited || d.main == nil {
		return
	}
	t, took := d.main.Stalled()
	if took == 0 {
		return
	}
	defer d.host.Recover()
	c := d.calls[t]
	if c.owed && !c.detached && c.limit > 0 && int64(took) > c.limit {
		d.overran = true
		c.overdue(took)
		d.host.Flush()
	}
}

// late reports whether the time of c is up.
func (c *call) late(now int64) bool {
	return c.limit > 0 && now-c.since >= c.limit
}

// waitsForClient reports whether the handler may be waiting for its client. With a detached descriptor it may at any time.
func (c *call) waitsForClient() bool {
	return c.x != nil && !c.gone && (c.detached || c.x.Server.WaitsForClient())
}

// overdue answers for the handler, as far as that goes: with 504, or by breaking off the response when it has begun. Parts that
// still come are released unseen.
func (c *call) overdue(took time.Duration) {
	c.settles()
	if c.occupies != OccupiesNothing { // its thread does not count any more, either
		c.frees()
	}
	x := c.x
	c.x = nil
	if x != nil {
		x.Source = exchange.Memory{}
		if c.begun || c.gone {
			x.Sink.Send(&exchange.Part{Last: true, Failed: true, File: -1})
		} else {
			x.Sink.Reply(exchange.Reply{Status: 504})
		}
		if !c.gone {
			c.cancel()
		}
	}
	c.handler.Overdue(c.ticket, took)
}

// ExcludeBlockedTime does not count the time, in nanoseconds, for which the event loop itself was held up, by a handler that runs
// inline.
func (d *Dispatcher) ExcludeBlockedTime(gap int64) {
	now := d.host.Now()
	for _, c := range d.calls {
		c.since = min(c.since+gap, now)
	}
}
