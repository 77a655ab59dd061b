package app

import (
	"bytes"

	"fapws/runtime/exchange"
)

// Receiving has one handler receive the body of a request as it arrives, and, when that hands the request on (exchange.Head.HandsOn),
// another source answer it, which gets a body of the first one's making. It is for uploads: an application
// gets a description of the stored files.
type Receiving struct {
	first *Source
	index int // exchange.Request.Mount for first
	then  exchange.Source
}

// Receiving returns a Source that has first receive bodies, which calls its mount index, and then answer. It is safe for concurrent
// use.
func (d *Dispatcher) Receiving(first Handler, index int, then exchange.Source) *Receiving {
	return &Receiving{first: d.Source(first, Options{}), index: index, then: then}
}

// Start implements exchange.Source.
func (s *Receiving) Start(x *exchange.Exchange) {
	r := x.Req
	body, mount := r.Body, r.Mount
	x.Server.Keep() // for the source behind
	r.Body, r.Mount = body, s.index
	s.first.Start(x)
	r.Body, r.Mount = nil, mount
	if c, ok := x.Source.(*call); ok {
		c.receiver = s
	}
}

// OnRoom implements exchange.Source.
func (s *Receiving) OnRoom(*exchange.Exchange) {}

// OnGone implements exchange.Source.
func (s *Receiving) OnGone(*exchange.Exchange) {}

// handOn has the source behind the handler answer, as p says.
func (c *call) handOn(p *exchange.Part) {
	x, r := c.x, c.x.Req
	if c.receiver == nil {
		c.fail(p, "a handler handed on a request that is for nothing else")
		return
	}
	then, gone := c.receiver.then, c.gone
	r.Body, r.More, r.Size, r.Pipeline = p.Body, false, int64(len(p.Body)), 0
	if len(p.Head.Fields) > 0 {
		x.Fields = bytes.Clone(p.Head.Fields)
	}
	c.x = nil // it goes on without c
	then.Start(x)
	r.Body = nil
	if next, ok := x.Source.(*call); ok {
		next.gone = gone // its client has left; the application gets the upload anyway
	}
	c.Release(p)
}
