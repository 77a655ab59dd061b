package http

import "fapws/runtime/exchange"

// Answerer is a source, and its properties that count before it starts.
type Answerer struct {
	Source  exchange.Source
	Streams bool // it takes requests whose body has not arrived: exchange.Request.More
	Asks    bool // and asks for the body with its first credit: 100 Continue waits for that
	Bulky   bool // it may answer with any size before the loop knows
}

// Admit has x, which is being decided about, answered by a, when its body has arrived.
func (x *Exchange) Admit(a Answerer) { x.Carrier.Admit(x, a) }

// Start has x, which is being decided about, answered by source, which takes no body.
func (x *Exchange) Start(source exchange.Source) {
	x.Source = source
	x.Carrier.SkipBody(x)
	source.Start(&x.Exchange)
}

// Submit hands x over to a. Size and Body of its request are set.
func (x *Exchange) Submit(a Answerer) {
	r := x.Req
	x.phase = answering
	// That of a chunked body is without its framing; of one that is streamed the rest is added as it comes.
	if x.Received += r.Size; r.More {
		x.Received += int64(len(r.Body)) - r.Size
	}
	r.Pipeline = 0
	x.Carrier.Submitting(x, a)
	x.Source = a.Source
	if a.Source.Start(&x.Exchange); x.Req == r && !x.lasting {
		x.Req = nil
		x.s.Host.Forget(x)
	}
}

// Suspend makes x, which is being decided about, wait until Resume. Later input of its carrier is not looked at meanwhile.
func (x *Exchange) Suspend() { x.suspend(awaitingHost) }

// Resume lets x go on, soon.
func (x *Exchange) Resume() {
	x.phase = deciding
	x.Carrier.Wake(x)
}

// Again has x, whose source does not answer it, decided about again, soon.
func (x *Exchange) Again() {
	x.suspend(deciding)
	x.Carrier.Wake(x)
}

// suspend makes x, which is being decided about, wait in a phase.
func (x *Exchange) suspend(p phase) {
	x.s.Host.Keep(x)
	x.phase, x.Source = p, nil
	x.Carrier.Suspended(x)
}

// Waits reports whether x, which was suspended, still has to wait.
func (x *Exchange) Waits() bool {
	if x.phase == awaitingTurn {
		return !x.InTurn()
	}
	return x.phase != deciding
}

// GoOn has x, which was suspended and does not wait any more, decided about again.
func (x *Exchange) GoOn() {
	x.phase = deciding
	x.s.Host.Resume(x)
}
