package exchange

import "bytes"

// A Then continues a response that is more than the head and body of its handler: a file, a program or a page of the
// server is the response, or the connection changes its protocol. It is called on the event loop.
type Then interface {
	// Continue is called with p, the first part of the response to x, before the Sink of x gets p.
	Continue(x *Exchange, p *Part) Outcome
}

type Outcome uint8

const (
	// Goes means that the Sink of x must get p and the parts after p. It is also the Outcome if the response is not
	// needed.
	Goes Outcome = iota

	// Later means that Continue must be called again when x is in turn: see Exchange.AwaitTurn.
	Later

	// Opened is like Goes, but the client then sends messages, so the handler may make parts at any time.
	Opened

	// Taken means that something else answers x. The call of the handler ends with p.
	Taken
)

// Continuation continues a response as Then.Continue does. r has Head, and Parsed if the parsed head was kept. The
// feature determines the other fields of r, and text.
type Continuation func(x *Exchange, p *Part, r *Request, text []byte) Outcome

// Refusal replaces the response of a handler by a page of the server with Head.Status and Head.Fields. Head.Reason is a
// text in addition to the status, and may be empty.
type Refusal struct{}

func (Refusal) Continue(x *Exchange, p *Part) Outcome {
	h := &p.Head
	x.Answer(Reply{Status: h.Status, Text: string(h.Reason), Fields: bytes.Clone(h.Fields)})
	return Taken
}
