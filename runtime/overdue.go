package runtime

import (
	"time"

	"fapws/runtime/exchange"
)

// A handler owes the loop a part of each exchange that was submitted, and the
// loop notes in Exchange.since when it began to wait for it. With Config.Timeout
// it looks at all of them on every tick; a request pays a store for that.

// findOverdue ends the exchanges whose handler has owed a part for too long. Those that are noted to have begun at the
// last tick, or since, may have begun just now: where this tick is late, that is more than late allows for.
func (l *loop) findOverdue(last int64) {
	for _, x := range l.exchanges.all {
		if x.since >= last {
			x.since = max(x.since, l.now()-tickLength)
		}
		if x.owed && l.late(x) && !x.waitsForClient() {
			l.overdue(x, time.Duration(l.now()-x.since))
		}
	}
}

// stalled answers for a handler that runs inline and does not return in time: it keeps the loop from
// answering. On any goroutine: while the handler runs, all that is the loop's may be touched here. The next
// requests wait for the handler all the same.
func (l *loop) stalled() {
	if !l.state.TryLock() {
		return // the loop does its own work
	}
	defer l.state.Unlock()
	if !l.limited || l.handler == nil {
		return
	}
	t, took := l.handler.Stalled()
	if took == 0 {
		return
	}
	defer l.recover()
	x := l.exchanges.all[t]
	if limit := l.limit(x); x.owed && !x.detached && limit > 0 && took > limit {
		l.overran = true
		l.overdue(x, took)
		l.conns.Flush()
	}
}

// limit is how long the handler of x may owe a part; 0: any time.
func (l *loop) limit(x *Exchange) time.Duration {
	if x.rules != nil && x.rules.timeout != 0 {
		return x.rules.timeout
	}
	return l.cfg.Timeout
}

// late reports whether the time of x is up.
func (l *loop) late(x *Exchange) bool {
	limit := l.limit(x)
	return limit > 0 && l.now()-x.since > int64(limit)+tickLength // since is up to a tick old
}

// waitsForClient reports whether the handler of x may be waiting for its client: parts
// wait for that, or for responses before, or its body is awaited. Of who talks to the
// client by itself (detached) nothing is known.
func (x *Exchange) waitsForClient() bool {
	if c := x.conn; c != nil && (x.detached || x.begun && c.Writing() || c.body != nil && !c.stopped) {
		return true
	}
	return len(x.held) > 0
}

// overdue answers x for its handler, as far as that goes: with 504, or by
// cutting off the response when it has begun. Parts that still come are
// released unseen.
func (l *loop) overdue(x *Exchange, took time.Duration) {
	x.owed = false
	if x.occupies != OccupiesNothing { // its thread does not count any more, either
		l.frees(x)
	}
	c := x.conn
	if x.fill != nil && (c == nil || x.begun) {
		l.fillOverdue(x, nil)
		if c == nil { // it went on for others
			l.giveUp(x)
		}
	}
	if c == nil {
		l.uncountOrphan(x)
	} else if x.begun {
		x.unwanted()
		x.complete(true)
		x.conn = nil
	} else {
		y := x.substitute()
		if x.fill == nil || !l.fillOverdue(x, y) {
			y.Reply(exchange.Reply{Status: 504})
		}
	}
	if l.timed {
		l.account(x) // nobody knows when it ends
		x.log = nil
	}
	if c != nil {
		x.handler.Cancel(x.ticket)
		l.submitted = true
		c.settle()
	}
	x.handler.Overdue(x.ticket, took)
}

// substitute puts a new exchange, which the loop is to answer, in the place of
// x among those of its connection.
func (x *Exchange) substitute() *Exchange {
	l := x.l
	x.unwanted()
	x.leaveSocket()
	c, y := x.conn, l.exchanges.get()
	y.conn, y.next = c, x.next
	y.minor, y.head, y.keepAlive, y.safe = x.minor, x.head, x.keepAlive, x.safe
	y.received = x.received
	y.log, y.quiet, y.rules = x.log, x.quiet, x.rules
	y.bulky = x.bulky
	y.cacheStatus, y.sendCacheStatus = x.cacheStatus, x.sendCacheStatus
	at := &c.first
	for *at != x {
		at = &(*at).next
	}
	*at = y
	if c.last == x {
		c.last = y
	}
	x.conn, x.next, x.log = nil, nil, nil
	return y
}

// countOrphan counts x, whose client has left, until its handler has noticed: ticks
// must go on for it.
func (l *loop) countOrphan(x *Exchange) {
	if l.limited && x.owed && !x.orphan {
		x.orphan = true
		l.orphans.Add(1)
	}
}

// uncountOrphan ends what lost began.
func (l *loop) uncountOrphan(x *Exchange) {
	if x.orphan {
		x.orphan = false
		l.orphans.Add(-1)
	}
}

// excludeBlockedTime does not count the time for which the loop itself was held up, by a
// handler that runs inline.
func (l *loop) excludeBlockedTime(gap int64) {
	for _, x := range l.exchanges.all {
		x.since = min(x.since+gap, l.now())
	}
}
