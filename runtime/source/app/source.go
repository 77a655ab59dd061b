package app

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

type Source struct {
	exchange.Memory
	d        *Dispatcher
	handler  exchange.Handler
	options  Options
	services *exchange.Services
}

type Options struct {
	// maximum time until the handler must deliver the next part; 0 means no limit
	Timeout  time.Duration
	Occupies exchange.Occupancy // how long each exchange occupies the application
	Main     bool               // the handler is the application (see Dispatcher.LastUse)
	Hints    []byte             // fields of a 103 response that is sent before the handler runs, or nil
	Gate     *Gate              // limits the active calls; nil means no limit
}

// Source returns a Source that passes its exchanges to the handler h, and may be called on any goroutine.
func (d *Dispatcher) Source(h exchange.Handler, o Options) *Source {
	return &Source{d: d, handler: h, options: o, services: &d.services}
}

func (s *Source) Start(x *exchange.Exchange) {
	if !s.options.Main && !x.HoldDescriptor() {
		if x.Req.Spool >= 0 {
			unix.Close(x.Req.Spool)
		}
		x.Answer(x.NoDescriptor())
		return
	}
	d, r := s.d, x.Req
	c := d.free
	if c == nil {
		c = &call{ticket: exchange.Ticket(len(d.calls))}
		d.calls = append(d.calls, c)
	} else {
		d.free, c.next = c.next, nil
	}
	c.x, c.source, c.limit = x, s, int64(s.options.Timeout)
	c.peer, c.origin, c.detached = r.Peer, r.Origin, r.Socket != 0
	if times := r.Services; times == nil || times.Times == nil {
		r.Services = s.services
	} else {
		services := *s.services
		services.Times = times.Times
		r.Services = &services
	}
	if g := s.options.Gate; g != nil && gated(r) && !g.enter(c, r) {
		return
	}
	s.submit(c, x, r)
}

func (s *Source) submit(c *call, x *exchange.Exchange, r *exchange.Request) {
	d := s.d
	if d.set.Debug >= 2 { // avoid allocating memory for the arguments
		d.set.Tracef("request %d goes to the application", c.ticket)
	}
	if s.options.Hints != nil && !r.Upgrade && r.TakesInterim() {
		x.Sink.Send(&exchange.Part{Interim: true, Head: exchange.Head{Status: http.StatusEarlyHints,
			Fields: s.options.Hints}})
		d.hinted = true
	}
	if !c.submitTo(s.handler, r) {
		x.Answer(exchange.Reply{Status: 503, Fields: exchange.RetryAfter})
		return
	}
	x.SetSource(c, "application")
	c.region = x.TakeRegion()
	if s.options.Occupies != exchange.OccupiesNothing {
		c.occupies = s.options.Occupies
		d.loop.Occupied(1)
	}
	c.work = owing
	c.restart()
	d.took()
}

// OnGone ends an exchange whose handler has panicked in Submit.
func (s *Source) OnGone(x *exchange.Exchange) { x.Stop(true) }

// submitTo passes r to the handler h. If h refuses r or panics, submitTo frees the ticket of c.
func (c *call) submitTo(h exchange.Handler, r *exchange.Request) (accepted bool) {
	defer func() {
		if accepted {
			return
		}
		if c.placed {
			c.leave()
		}
		c.x.SetSource(c.source, "")
		c.source.d.put(c)
	}()
	return h.Submit(c.ticket, r)
}

// Receiving is a Source that consists of a handler and a second source. The handler receives the request body as it
// arrives, and then forwards the request with a new body (exchange.Services.Next). For uploads, the new body is a
// description of the stored files, and the second source is the application.
type Receiving struct {
	exchange.Memory
	first *Source
	then  exchange.Source
}

// Receiving returns a Receiving with first as its handler and second as its second source. It may be called on any
// goroutine.
func (d *Dispatcher) Receiving(first exchange.Handler, second exchange.Source) *Receiving {
	s := &Receiving{first: d.Source(first, Options{}), then: second}
	services := d.services
	services.Next, services.Inquire = s, s.inquire
	s.first.services = &services
	return s
}

func (s *Receiving) Start(x *exchange.Exchange) {
	r := x.Req
	body := r.Body
	x.Keep() // keep the request for the second source
	r.Body = body
	s.first.Start(x)
	r.Body = nil
}

// Continue implements exchange.Then: it forwards the request to the second source, with the body and the fields of p.
func (s *Receiving) Continue(x *exchange.Exchange, p *exchange.Part) exchange.ThenOutcome {
	r := x.Req
	r.Body, r.More, r.Size, r.Pipeline = p.Body, false, int64(len(p.Body)), 0
	if len(p.Head.Fields) > 0 {
		x.MergeFields(bytes.Clone(p.Head.Fields))
	}
	p.Owner.(*call).passOn(x, s.then)
	r.Body = nil
	return exchange.Taken
}

// SendFiles is the exchange.Continuation of a response for which a handler names a file, which Config.Take sends.
func (d *Dispatcher) SendFiles(x *exchange.Exchange, p *exchange.Part, r *exchange.Request,
	name []byte) exchange.ThenOutcome {
	outcome, ready := d.prepare(x, r)
	if ready {
		d.cfg.Take(x, p, r, name)
	}
	return outcome
}

// RunProgram is the exchange.Continuation of responses for which a handler names a program. r contains Options, Path
// and Script of the program. The request body for the program is p.Body or p.File.
func (d *Dispatcher) RunProgram(x *exchange.Exchange, p *exchange.Part, r *exchange.Request,
	_ []byte) exchange.ThenOutcome {
	outcome, ready := d.prepare(x, r)
	if !ready {
		return outcome
	}
	if d.programs == nil {
		if d.cfg.Programs == nil {
			d.fail(x, "a handler let a program answer that cannot")
			return exchange.Taken
		}
		d.programs = d.Source(d.cfg.Programs(), Options{})
	}
	c := p.Owner.(*call)
	// Root must not exceed Script, which middleware of the application may have shortened
	r.Root = min(r.Root, r.Script)
	r.Body, r.Spool, r.Size = p.Body, -1, int64(len(p.Body))
	r.Peer, r.Origin = c.peer, c.origin
	if p.File != nil {
		var err error
		r.Size = p.File.Count
		if r.Spool, err = unix.FcntlInt(uintptr(p.File.FD), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			x.Answer(exchange.Reply{Status: 503, Fields: exchange.RetryAfter})
			return exchange.Taken
		}
	}
	x.Lend(r, func() {
		if next := c.passOn(x, d.programs); next != nil {
			next.limit, next.extra = c.limit, bytes.Clone(p.Head.Fields)
			next.region = c.region.Recount() // the program gets a copy of the body
		}
	})
	return exchange.Taken
}

// Subscribe is the exchange.Continuation of responses whose clients become subscribers of channels: see
// Config.Subscribe.
func (d *Dispatcher) Subscribe(x *exchange.Exchange, p *exchange.Part, r *exchange.Request,
	channels []byte) exchange.ThenOutcome {
	c := p.Owner.(*call)
	if c.gone || p.Head.Status != 200 {
		return exchange.Goes
	}
	if !d.parse(x, r) {
		return exchange.Taken
	}
	r.Peer, r.Origin = c.peer, c.origin
	return d.cfg.Subscribe(x, p, r, channels)
}

// prepare parses r, and reports whether the response to x can be sent now. If not, the calling Continuation must return
// outcome.
func (d *Dispatcher) prepare(x *exchange.Exchange, r *exchange.Request) (outcome exchange.ThenOutcome, ready bool) {
	if !x.InTurn() {
		return exchange.Later, false
	}
	return exchange.Taken, d.parse(x, r)
}

// parse parses r, which a handler has returned, unless r.Parsed is set. If r is invalid, parse responds to x with
// status 500 and returns false.
func (d *Dispatcher) parse(x *exchange.Exchange, r *exchange.Request) bool {
	if r.Parsed != nil {
		return true
	}
	r.Parsed = new(http1.Request)
	err := r.Parsed.ParseWhole(r.Head, d.cfg.Limits)
	if err != nil {
		d.fail(x, fmt.Sprintf("a handler gave back another request: %v", err))
	}
	return err == nil
}

func (d *Dispatcher) fail(x *exchange.Exchange, line string) {
	d.set.LogBug(line)
	x.Answer(exchange.Reply{Status: 500})
}

// passOn starts x with another source, and returns the new call, or nil if the source does not use calls.
func (c *call) passOn(x *exchange.Exchange, to exchange.Source) (next *call) {
	to.Start(x)
	if next, _ = x.Source.(*call); next != nil {
		// the client may have disconnected, but the application must still receive the upload
		next.gone = c.gone
	}
	return next
}

// An inquiry is a request without a client, from the handler of a Receiving to the second source, for example with a
// piece of an upload. It is its own Sink and records the response for the handler.
type inquiry struct {
	exchange.Exchange
	done   func(status int, answer []byte)
	status int
	body   []byte
}

const maxInquiry = 64 << 10 // maximum size of the recorded response, in bytes

func (s *Receiving) inquire(t exchange.Ticket, body []byte, done func(status int, answer []byte)) {
	s.first.d.set.Events.Post(func() {
		x := s.first.d.calls[t].x
		if x == nil {
			done(500, nil)
			return
		}
		i := &inquiry{done: done, status: 500}
		r := *x.Req
		r.Body, r.Stays, r.More, r.Size, r.Pipeline = body, false, false, int64(len(body)), 0
		i.Exchange = x.Sub(&r, s.then, i, new(exchange.Sub)) // a Sub without Parent never waits for a client
		i.Lend(&r, func() { i.Source.Start(&i.Exchange) })
	})
}

func (i *inquiry) Send(p *exchange.Part) {
	if p.First {
		i.status = p.Head.Status
	}
	if !p.Interim {
		i.body = append(i.body, p.Body[:min(len(p.Body), maxInquiry-len(i.body))]...)
	}
	last := p.Last()
	if last && p.End == exchange.Incomplete {
		i.status = 500
	}
	p.Release()
	if last {
		i.done(i.status, i.body)
	}
}

func (i *inquiry) Reply(r exchange.Reply) {
	i.done(r.Status, append(append(i.body[:0], r.Text...), r.Body...))
}
