package exchange

import (
	"bytes"
	"time"
)

// A Handler answers requests. The loop and the handler never wait for each other. All methods except Release are called
// on the loop.
type Handler interface {
	// Submit passes a request to the handler. The ticket t identifies the exchange in later calls. Submit returns false
	// if too many requests wait; the loop then answers 503.
	Submit(t Ticket, r *Request) bool
	// Deliver passes input for an exchange to the handler. A handler must ignore input that arrives after the handler
	// has made the last part. Deliver must not wait. It cannot fail, because at InputWindow the loop stops reading from
	// the client.
	Deliver(Input)
	// Release returns a part to the handler after its bytes were sent or discarded. Any goroutine may call Release.
	// Handlers must limit the bytes of parts that are not released yet. The release of the last part ends the exchange.
	Release(*Part)
	// Cancel tells the handler that no client waits for the exchange any longer. The handler should drop waiting work
	// and close iterators, but must still send the last part of the response. If the exchange has exceeded its timeout,
	// took is the duration of the exchange; otherwise took is 0. After a timeout the server answers with an error, and
	// Cancel can be called a second time. Cancel must not block.
	Cancel(t Ticket, took time.Duration)
}

type Occupancy uint8

const (
	// OccupiesNothing means that the application can handle any number of requests at once.
	OccupiesNothing Occupancy = iota
	// OccupiesUntilHead is for handlers on the loop: after the head, they need the loop only for short steps.
	OccupiesUntilHead
	// OccupiesUntilEnd is for handlers on threads: a thread that runs a generator can do no other work until the
	// response ends or a WebSocket begins.
	OccupiesUntilEnd
)

func (o Occupancy) EndsWith(p *Part) bool {
	switch o {
	case OccupiesUntilHead:
		return !p.Interim
	case OccupiesUntilEnd:
		return p.Last()
	}
	return false
}

// A Then continues a response for which the handler did not send a body, but named a file, a program, a page of the
// server or a protocol other than HTTP. A Then is called on the event loop.
type Then interface {
	// Continue is called with p, the first part of the response to x, before the Sink of x gets the part.
	Continue(x *Exchange, p *Part) ThenOutcome
}

type ThenOutcome uint8

const (
	// Goes means that the caller must pass p and the following parts to the Sink of x, which discards them if no client
	// waits.
	Goes ThenOutcome = iota
	// Later means that the caller must call Continue again when all earlier responses are sent (Exchange.AwaitTurn).
	Later
	// Opened is like Goes. In addition, a WebSocket has begun, so the handler may make parts at any time.
	Opened
	Taken // Taken means that a different source answers x, and that p is the handler's last part.
)

// A Continuation is a function that implements Then.Continue. r contains Head, and Parsed if the parsed head was kept.
// The other fields of r and the meaning of text depend on the Continuation.
type Continuation func(x *Exchange, p *Part, r *Request, text []byte) ThenOutcome

// Refusal is a Then. It sends a page of the server with the Status, Fields and Reason of the response that it replaces.
type Refusal struct{ Limit Limit }

func (f Refusal) Continue(x *Exchange, p *Part) ThenOutcome {
	h := &p.Head
	x.Answer(Reply{Status: h.Status, Text: string(h.Reason), Fields: bytes.Clone(h.Fields), Limit: f.Limit})
	return Taken
}
