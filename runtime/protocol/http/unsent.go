package http

import (
	"cmp"
	"slices"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// Answers that a client does not read wait in memory. Package protocol/http1 bounds them for a connection, this file for a client,
// over all its connections: while more than conn.Set.Unsent.Max bytes wait for its account, a handler starts none of its
// further requests. Handlers get these requests marked Held, and give back those that they have not started
// (Pacer.Recall). WriteTimeout ends a client that reads nothing, so its requests wait no longer than that.
//
// A connection's first exchange waits only for bytes that are being sent, not for those that wait for an exchange before
// them. So it never waits for itself, and whatever it waits for gets less or times out.

// CountedPart is the size from which a part that waits is counted. Smaller ones are copies, and few.
const CountedPart = conn.CopyLimit

// Hold keeps a part of x until its turn comes.
func (x *Exchange) Hold(p *exchange.Part) {
	x.held = append(x.held, *p)
	if n := int64(len(p.Body)); n >= CountedPart && p.Owner != nil {
		x.countQueued(n)
	}
}

// countQueued adds to the bytes of x that wait for their turn.
func (x *Exchange) countQueued(n int64) {
	s := x.s
	x.queued += n
	if name := s.Host.Account(x); name != "" {
		s.Set.Unsent.Add(name, 0, n)
	}
}

// unhold takes the first part that Hold has kept, to be sent.
func (x *Exchange) unhold() exchange.Part {
	p := x.held[0]
	x.held = x.held[:copy(x.held, x.held[1:])]
	if n := int64(len(p.Body)); n >= CountedPart && p.Owner != nil {
		x.countQueued(-n)
	}
	return p
}

// unholdAll counts the parts of x that Hold has kept no longer.
func (x *Exchange) unholdAll() {
	if x.queued > 0 {
		x.countQueued(-x.queued)
	}
}

// DropHeld releases the parts that x keeps until its turn comes. ended reports whether the last one was among them: then x
// has ended.
func (x *Exchange) DropHeld() (ended bool) {
	x.unholdAll()
	held := x.held
	x.held = held[:0]
	ended = len(held) > 0 && held[len(held)-1].Last
	for i := range held {
		x.Release(&held[i])
	}
	clear(held)
	return ended
}

// MustWait implements exchange.Server.
func (x *Exchange) MustWait() bool {
	s, c := x.s, x.Carrier
	if !s.Set.Unsent.AnyOver() || c == nil || c.Internal() {
		return false
	}
	name := s.Host.Account(x)
	return name != "" && s.Set.Unsent.Over(name, c.First(x))
}

// Deferred implements exchange.Server: the source begins when its turn comes near.
func (x *Exchange) Deferred() {
	if x.MustWait() {
		x.countHeldBack()
	}
	x.deferred = true
	x.Carrier.Deferred(x)
}

// IsDeferred reports whether the source of x has put off its response. ResumeDeferred has it begin.
func (x *Exchange) IsDeferred() bool { return x.deferred }

func (x *Exchange) ResumeDeferred() {
	x.deferred = false
	x.Source.(exchange.Pacer).Resume(&x.Exchange)
}

// Recall has sources give back the requests of an account that they have not started, because more than conn.Set.Unsent.Max waits
// for it. The Server then decides about each.
func (s *Server) Recall(account string) {
	for _, x := range s.exchanges.all {
		if x.phase != answering || x.Out.Begun || x.deferred || x.Carrier == nil || s.Host.Account(x) != account {
			continue
		}
		if p, ok := x.Source.(exchange.Pacer); ok {
			p.Recall(&x.Exchange)
		}
	}
}

// countHeldBack gives x, which has to wait for its client, its place among all that had to.
func (x *Exchange) countHeldBack() {
	if x.turn == 0 {
		x.s.heldBack++
		x.turn = x.s.heldBack
	}
}

// Ease starts requests that had to wait, the earliest first, when less waits for their clients. If their answers turn out to be too
// much, Recall takes back the rest.
func (s *Server) Ease() {
	var waiting []*Exchange
	for _, x := range s.exchanges.all {
		if x.deferred && x.Carrier != nil {
			waiting = append(waiting, x)
		}
	}
	slices.SortFunc(waiting, func(a, b *Exchange) int { return cmp.Compare(a.turn, b.turn) })
	for _, x := range waiting {
		if x.deferred {
			x.Carrier.ResumeDeferred()
		}
	}
}
