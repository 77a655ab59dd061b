package http

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// Hold keeps a part of x until its turn comes.
func (x *Exchange) Hold(p *exchange.Part) {
	x.held = append(x.held, *p)
	x.PartWaits(p, len(p.Body))
}

// unhold takes the first part that Hold has kept, to be sent.
func (x *Exchange) unhold() exchange.Part {
	p := x.held[0]
	x.held = x.held[:copy(x.held, x.held[1:])]
	if x.unsent != nil {
		x.s.Set.Unsent.Drop(x.unsent, p.Body, len(p.Body))
	}
	return p
}

// DropHeld releases the parts that x keeps until its turn comes. ended reports whether the last one was among them: then x
// has ended.
func (x *Exchange) DropHeld() (ended bool) {
	held := x.held
	x.held = held[:0]
	ended = len(held) > 0 && held[len(held)-1].Last
	for i := range held {
		x.Release(&held[i])
	}
	clear(held)
	return ended
}

// PartWaits implements conn.PartOwner. What waits for a subrequest is counted where its client waits.
func (x *Exchange) PartWaits(p *exchange.Part, left int) *conn.Unsent {
	if len(p.Body) < conn.CountedPart || x.Carrier == nil || x.Carrier.Internal() {
		return x.unsent
	}
	if x.unsent == nil {
		x.unsent = new(conn.Unsent)
	}
	x.s.Set.Unsent.Add(x.unsent, x, p.Body, left, x.s.Now())
	return x.unsent
}

// Unsent returns how many bytes of the response wait in memory for the client.
func (x *Exchange) Unsent() int64 { return x.unsent.Size() }

// Cut implements conn.Response: the client loses the rest of the response.
func (x *Exchange) Cut() (client string) {
	client = x.s.Host.Client(x)
	if x.Carrier != nil {
		x.Carrier.Cut(x)
	}
	return client
}

// Deferred implements exchange.Server: the source begins when less of what its connection has asked for before waits.
func (x *Exchange) Deferred() {
	x.deferred = true
	x.Carrier.Deferred(x)
}

// IsDeferred reports whether the source of x has put off its response. ResumeDeferred has it begin.
func (x *Exchange) IsDeferred() bool { return x.deferred }

func (x *Exchange) ResumeDeferred() {
	x.deferred = false
	x.Source.(exchange.Pacer).Resume(&x.Exchange)
}
