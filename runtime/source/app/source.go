package app

import (
	"bytes"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

type Source struct {
	exchange.Memory
	d       *Dispatcher
	handler exchange.Handler
	options Options
}

type Options struct {
	// maximum time that the handler may owe a part; 0 means no limit
	Timeout  time.Duration
	Occupies exchange.Occupancy // how long each exchange occupies the application
	Main     bool               // the handler is the application (see Dispatcher.LastUse)
}

// Source is safe for concurrent use.
func (d *Dispatcher) Source(h exchange.Handler, o Options) *Source {
	return &Source{d: d, handler: h, options: o}
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
		c = &call{d: d, ticket: exchange.Ticket(len(d.calls))}
		d.calls = append(d.calls, c)
	} else {
		d.free, c.next = c.next, nil
	}
	c.x, c.handler, c.main, c.limit = x, s.handler, s.options.Main, int64(s.options.Timeout)
	c.peer, c.errorLog, c.root, c.traced, c.depth, c.detached = r.Peer, r.ErrorLog, r.Root, r.Traced, uint8(r.Depth), r.Socket != 0
	r.Ticket, r.Publish, r.Ask = c.ticket, d.publish, d.cfg.Ask
	if d.set.Debug >= 2 { // the arguments need an allocation
		d.set.Tracef("exchange %d goes to the application", c.ticket)
	}
	if !c.handler.Submit(r) {
		d.put(c)
		x.Answer(exchange.Reply{Status: 503, Fields: exchange.RetryAfter})
		return
	}
	x.Source, x.By = c, "application"
	if s.options.Occupies != exchange.OccupiesNothing {
		c.occupies = s.options.Occupies
		d.loop.Occupied(1)
	}
	// a resumed exchange is open for its client, and a 504 could not be sent
	c.owed = r.Resumed == nil
	c.restart()
	d.took()
}

// Receiving passes the body of a request to one handler as it arrives. When that handler hands the request on
// (exchange.Behind), another source answers it with a body that the handler made. For uploads, the application receives
// a description of the stored files.
type Receiving struct {
	exchange.Memory
	first *Source
	then  exchange.Source
}

// Receiving returns a Source in which first receives bodies and then answers. It is safe for concurrent use.
func (d *Dispatcher) Receiving(first exchange.Handler, then exchange.Source) *Receiving {
	return &Receiving{first: d.Source(first, Options{}), then: then}
}

func (s *Receiving) Start(x *exchange.Exchange) {
	r := x.Req
	body := r.Body
	x.Keep() // for the source behind the handler
	r.Body = body
	var c *call
	r.Inquire = func(body []byte, done func(int, []byte)) {
		s.first.d.set.Events.Post(func() { c.inquire(body, done) })
	}
	s.first.Start(x)
	r.Body, r.Inquire = nil, nil
	if c, _ = x.Source.(*call); c != nil {
		c.receiver = s
	}
}

func (c *call) handOn(p *exchange.Part) {
	x, r := c.x, c.x.Req
	if c.receiver == nil {
		c.fail(p, "a handler handed on a request that is for nothing else")
		return
	}
	r.Body, r.More, r.Size, r.Pipeline = p.Body, false, int64(len(p.Body)), 0
	if len(p.Head.Fields) > 0 {
		x.Fields = bytes.Clone(p.Head.Fields)
	}
	c.passOn(p, c.receiver.then)
	r.Body = nil
}

// answersInstead reports false if p names no other source and is the response.
func (c *call) answersInstead(p *exchange.Part) bool {
	switch p.Head.Instead {
	case exchange.Behind:
		c.handOn(p)
		return true
	case exchange.Refusal:
		c.refuse(p)
		return true
	}
	if c.x.InTurn() {
		c.answerNamed(p)
		return true
	}
	kept := *p
	c.waiting = &kept
	c.x.AwaitTurn(false)
	return true
}

func (c *call) refuse(p *exchange.Part) {
	h := &p.Head
	c.reply(p, exchange.Reply{Status: h.Status, Text: string(h.Reason), Fields: bytes.Clone(h.Fields)})
}

func (c *call) reply(p *exchange.Part, r exchange.Reply) {
	x := c.x
	c.end(p)
	x.Answer(r)
}

// subscribes reports false if the client cannot become a subscriber and the exchange was answered.
func (c *call) subscribes(p *exchange.Part) bool {
	if c.gone {
		return true // p must not be sent
	}
	parsed, err := c.d.parsed(&p.Head)
	if err != nil {
		c.fail(p, fmt.Sprintf("a handler gave back another request: %v", err))
		return false
	}
	r := exchange.Request{Head: p.Head.Request, Parsed: parsed, Peer: c.peer, Depth: int(c.depth)}
	refusal, ok := c.d.cfg.Subscribe(c.x, p, &r)
	if !ok {
		c.reply(p, refusal)
	}
	return ok
}

func (c *call) answerNamed(p *exchange.Part) {
	parsed, err := c.d.parsed(&p.Head)
	switch {
	case err != nil:
		c.fail(p, fmt.Sprintf("a handler gave back another request: %v", err))
	case p.Head.Instead == exchange.Program:
		c.handToProgram(p, parsed)
	default:
		if c.extra != nil {
			p.Head.Fields = exchange.MergeFields(p.Head.Fields, c.extra)
		}
		c.d.cfg.Take(c.x, p, parsed)
		c.end(p)
	}
}

func (c *call) fail(p *exchange.Part, line string) {
	c.d.set.Log(logfile.Error, "bug: %s", line)
	c.reply(p, exchange.Reply{Status: 500})
}

// parsed returns the request that a handler has returned with a head. It parses the request again if the handler has
// not kept the result.
func (d *Dispatcher) parsed(h *exchange.Head) (*http1.Request, error) {
	if h.Parsed != nil {
		return h.Parsed, nil
	}
	parsed := new(http1.Request)
	return parsed, parsed.ParseWhole(h.Request, d.cfg.Limits)
}

func (c *call) handToProgram(p *exchange.Part, parsed *http1.Request) {
	d := c.d
	if d.programs == nil {
		if d.cfg.Programs == nil {
			c.fail(p, "a handler let a program answer that cannot")
			return
		}
		d.programs = d.Source(d.cfg.Programs(), Options{})
	}
	r := &exchange.Request{
		Head:     p.Head.Request,
		Parsed:   parsed,
		Path:     p.Head.StaticPath,
		Root:     min(c.root, p.Head.StaticScript), // a middleware may have changed SCRIPT_NAME
		Script:   p.Head.StaticScript,
		Body:     p.Body,
		Spool:    -1,
		Size:     int64(len(p.Body)),
		Peer:     c.peer,
		Options:  string(p.Head.Static),
		ErrorLog: c.errorLog,
		Traced:   c.traced,
		Depth:    int(c.depth),
	}
	if p.File >= 0 {
		var err error
		r.Size = p.Count
		if r.Spool, err = unix.FcntlInt(uintptr(p.File), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			c.reply(p, exchange.Reply{Status: 503, Fields: exchange.RetryAfter})
			return
		}
	}
	x, limit, extra := c.x, c.limit, bytes.Clone(p.Head.Fields)
	x.Req = r
	if next := c.passOn(p, d.programs); next != nil {
		next.limit, next.extra = limit, extra
	}
	x.Req = nil
}

func (c *call) passOn(p *exchange.Part, to exchange.Source) (next *call) {
	x := c.x
	c.x = nil // the exchange continues without c
	to.Start(x)
	if next, _ = x.Source.(*call); next != nil {
		// its client has disconnected; an application still receives its upload
		next.gone = c.gone
	}
	c.Release(p)
	return next
}

// inquiry is an exchange that a handler makes with the next source (Receiving) before it answers the client, for
// example about a piece of an upload. It is the Sink of this exchange, which has no client. The response is recorded
// for the handler.
type inquiry struct {
	exchange.Exchange
	done   func(status int, answer []byte)
	status int
	body   []byte
}

const maxInquiry = 64 << 10 // in bytes; the response may be an error page

// inquire makes the source behind the handler answer an exchange with a body (exchange.Request.Inquire).
func (c *call) inquire(body []byte, done func(status int, answer []byte)) {
	if c.x == nil {
		done(500, nil)
		return
	}
	i := &inquiry{done: done, status: 500}
	r := *c.x.Req
	r.Body, r.More, r.Size, r.Pipeline = body, false, int64(len(body)), 0
	i.Exchange = c.x.Sub(&r, c.receiver.then, i)
	i.Parent = nil // it does not wait for a client
	i.Source.Start(&i.Exchange)
	i.Req = nil
}

func (i *inquiry) Send(p *exchange.Part) {
	if p.First {
		i.status = p.Head.Status
	}
	if !p.Interim {
		i.body = append(i.body, p.Body[:min(len(p.Body), maxInquiry-len(i.body))]...)
	}
	last := p.Last
	if last && p.Failed {
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
