package exchange

import (
	"bytes"
	"time"
)

// A Handler answers requests. The loop passes requests to the handler and receives parts of responses. Neither side
// ever waits for the other.
//
// All methods except Release are called on the loop.
type Handler interface {
	// Submit passes a request to the handler. The handler names the exchange by t. Submit returns false if too many
	// requests wait: the loop then answers 503.
	Submit(t Ticket, r *Request) bool

	// Deliver passes input to an exchange. A handler drops input that arrives after it has made the last part. Deliver
	// must not wait and cannot fail: the loop stops reading at InputWindow.
	Deliver(Input)

	// Release returns a part to the handler after its bytes were sent or discarded. Any goroutine may call Release.
	// Handlers limit the number of bytes that are not released yet. The release of the last part ends the exchange.
	Release(*Part)

	// Cancel reports that no client waits for this exchange. The handler drops waiting work and closes iterators. The
	// handler still sends the last part of the response. took is the duration of the exchange if it exceeds the time
	// limit of its Source, otherwise 0. After a timeout the client has received an answer, and Cancel may be called a
	// second time. Cancel must not block.
	Cancel(t Ticket, took time.Duration)
}

type Occupancy uint8

const (
	// OccupiesNothing means that the application can run any number of requests at once.
	OccupiesNothing Occupancy = iota

	// OccupiesUntilHead ends when the response begins. Handlers that run on the loop use it, because the loop gets the
	// rest of the response in small steps.
	OccupiesUntilHead

	// OccupiesUntilEnd ends when the response is complete or a WebSocket has begun. Handlers that run on threads use
	// it, because a thread that runs a generator cannot do other work.
	OccupiesUntilEnd
)

// EndsWith reports whether p ends the time in which an exchange occupies the application.
func (o Occupancy) EndsWith(p *Part) bool {
	switch o {
	case OccupiesUntilHead:
		return !p.Interim
	case OccupiesUntilEnd:
		return p.Last()
	}
	return false
}

// A Then continues a response for which the handler named something other than a body: a file, a program, a page of the
// server or another protocol. A Then is called on the event loop.
type Then interface {
	// Continue is called with p, the first part of the response to x, before the Sink of x gets p.
	Continue(x *Exchange, p *Part) Outcome
}

type Outcome uint8

const (
	// Goes means that p and the following parts go to the Sink of x. Goes is also the Outcome if no client needs the
	// response.
	Goes Outcome = iota

	// Later means that Continue must be called again when the response of x is the next one for the client
	// (Exchange.AwaitTurn).
	Later

	// Opened is like Goes, but the client then sends messages, so the handler may make parts at any time.
	Opened

	// Taken means that another source answers x. p is the handler's last part.
	Taken
)

// A Continuation has the task of Then.Continue. r has Head, and Parsed if the parsed head was kept. The kind of
// continuation determines the other fields of r and the meaning of text.
type Continuation func(x *Exchange, p *Part, r *Request, text []byte) Outcome

// Refusal replaces the response of a handler by a page of the server with Head.Status and Head.Fields. Head.Reason is
// an explanation for the page, and may be empty.
type Refusal struct{}

func (Refusal) Continue(x *Exchange, p *Part) Outcome {
	h := &p.Head
	x.Answer(Reply{Status: h.Status, Text: string(h.Reason), Fields: bytes.Clone(h.Fields)})
	return Taken
}
