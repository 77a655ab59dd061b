package app

import (
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
