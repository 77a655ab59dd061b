package app

import (
	"bytes"
	"time"

	"fapws/runtime/exchange"
)

// Source has exchanges answered by one Handler.
type Source struct {
	d       *Dispatcher
	handler Handler
	pacer   Pacer // handler, if it is one
	options Options
}

// Options say how a Source treats its exchanges.
type Options struct {
	Timeout  time.Duration // maximum time that the handler may owe a part; 0: no limit
	Occupies Occupancy     // how long each exchange occupies the application
}

// Source returns the source of a handler. It is safe for concurrent use.
func (d *Dispatcher) Source(h Handler, o Options) *Source {
	s := &Source{d: d, handler: h, options: o}
	s.pacer, _ = h.(Pacer)
	return s
}

// Paces reports whether the handler makes large responses one at a time: see Pacer.
func (s *Source) Paces() bool { return s.pacer != nil }

var retryAfter = []byte("Retry-After: 1\r\n")

// Start implements exchange.Source: it submits the request of x.
func (s *Source) Start(x *exchange.Exchange) {
	d, r := s.d, x.Req
	c := d.get()
	c.x, c.handler, c.pacer, c.limit = x, s.handler, s.pacer, int64(s.options.Timeout)
	c.peer, c.errorLog, c.traced, c.depth, c.detached = r.Peer, r.ErrorLog, r.Traced, uint8(r.Depth), r.Socket != 0
	r.Ticket = c.ticket
	if d.cfg.Trace != nil {
		d.cfg.Trace("exchange %d goes to the application", c.ticket)
	}
	if !c.handler.Submit(r) {
		d.put(c)
		x.Source = exchange.Memory{}
		x.Sink.Reply(exchange.Reply{Status: 503, Fields: retryAfter})
		return
	}
	x.Source, x.By = c, "application"
	if s.options.Occupies != OccupiesNothing {
		c.occupies = s.options.Occupies
		d.host.Occupied(1)
	}
	if r.Resumed == nil { // that is open for its client, and no 504 can be written
		c.owes()
	}
	d.flushes = true
	d.taken++
}

// OnRoom implements exchange.Source.
func (s *Source) OnRoom(*exchange.Exchange) {}

// OnGone implements exchange.Source.
func (s *Source) OnGone(*exchange.Exchange) {}

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
