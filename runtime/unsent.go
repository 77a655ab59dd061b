package runtime

import (
	"cmp"
	"slices"

	"fapws/runtime/auth"
	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
)

// Answers that a client does not read wait in memory. pipeline.go bounds them for a connection, unsent for a client,
// over all its connections: while more than Config.MaxUnsent bytes wait for its address, a handler starts none of its
// further requests. Handlers get these requests marked Held, and give back those that they have not started
// (Pacer.Recall). WriteTimeout ends a client that reads nothing, so its requests wait no longer than that.
//
// A connection's first exchange waits only for bytes that are being sent, not for those that wait for an exchange before
// them. So it never waits for itself, and whatever it waits for gets less or times out.

// unsent is what the loop knows of requests that wait for their clients. The bytes are in conn.Set.Unsent, by network address;
// those for a client without a known one are bounded for each connection only.
type unsent struct {
	heldBack int64 // requests that had to wait, ever
	warned   int64 // loop.now at the last line in the log
}

// warnEvery is the least time between two lines about clients that do not read, in nanoseconds.
const warnEvery = int64(60e9)

// countedPart is the size from which a part that waits is counted. Smaller ones are copies, and few.
const countedPart = copyLimit

// exceeded is called when more than Config.MaxUnsent bytes wait for a client.
func (l *loop) exceeded(client string, bytes int64) {
	l.recall(client)
	l.warnUnsent(client, bytes)
}

// hold keeps a part of x until its turn comes.
func (x *Exchange) hold(p *exchange.Part) {
	x.held = append(x.held, *p)
	if n := int64(len(p.Body)); n >= countedPart && p.Owner != nil {
		x.countQueued(n)
	}
}

// countQueued adds to the bytes of x that wait for their turn.
func (x *Exchange) countQueued(n int64) {
	l := x.l
	x.queued += n
	if name := accountOf(x.peer); name != "" {
		l.conns.Unsent.Add(name, 0, n)
	}
}

// unhold takes the first part that hold has kept, to be sent.
func (x *Exchange) unhold() exchange.Part {
	p := x.held[0]
	x.held = x.held[:copy(x.held, x.held[1:])]
	if n := int64(len(p.Body)); n >= countedPart && p.Owner != nil {
		x.countQueued(-n)
	}
	return p
}

// unholdAll counts the parts of x that hold has kept no longer.
func (x *Exchange) unholdAll() {
	if x.queued > 0 {
		x.countQueued(-x.queued)
	}
}

// mustWait reports whether the handler may not start x yet.
func (l *loop) mustWait(x *Exchange) bool {
	if !l.conns.Unsent.AnyOver() || x.conn == nil || x.conn.subrequest != nil || x.peer == nil {
		return false
	}
	return l.conns.Unsent.Over(auth.Network(x.peer.Addr), x == x.conn.first)
}

// MustWait implements exchange.Server.
func (x *Exchange) MustWait() bool { return x.l.mustWait(x) }

// recall has handlers give back the requests of a client that they have not started. The loop then decides about each.
func (l *loop) recall(client string) {
	for _, x := range l.exchanges.all {
		if x.out.Begun || x.deferred || x.conn == nil || x.peer == nil || auth.Network(x.peer.Addr) != client {
			continue
		}
		if p, ok := x.Source.(exchange.Pacer); ok {
			p.Recall(&x.Exchange)
		}
	}
}

// countHeldBack gives x, which has to wait for its client, its place among all that had to.
func (l *loop) countHeldBack(x *Exchange) {
	if x.turn == 0 {
		l.unsent.heldBack++
		x.turn = l.unsent.heldBack
	}
}

// ease starts requests that had to wait, the earliest first. If their answers turn out to be too much, recall takes back the
// rest.
func (l *loop) ease() {
	var waiting []*Exchange
	for _, x := range l.exchanges.all {
		if x.deferred && x.conn != nil {
			waiting = append(waiting, x)
		}
	}
	slices.SortFunc(waiting, func(a, b *Exchange) int { return cmp.Compare(a.turn, b.turn) })
	for _, x := range waiting {
		if c := x.conn; x.deferred && !c.Writing() {
			l.resumeDeferred(c)
		}
	}
}

// warnUnsent tells the operator, at most once a minute, that requests wait.
func (l *loop) warnUnsent(client string, n int64) {
	u := &l.unsent
	if u.warned != 0 && l.now()-u.warned < warnEvery {
		return
	}
	u.warned = max(l.now(), 1)
	hint := ""
	if len(l.cfg.Proxies) == 0 {
		hint = "; if it is a proxy, add it to forwarded-allow-ips"
	}
	l.s.logf(loglevel.Warning, "%s reads too slowly: %d MiB of responses wait for it, so its further requests wait, too%s", client, n>>20, hint)
}
