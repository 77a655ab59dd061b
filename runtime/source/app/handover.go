package app

import (
	"bytes"
	"fmt"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/source/refusal"

	"golang.org/x/sys/unix"
)

// A handler may have its exchange answered by something else: files, a program, or a page of the server.

// programs runs the programs that handlers name.
type programs struct {
	handler Handler // nil: there was none to run
	index   int
}

// redirects reports whether p, the first part, names something else that answers, and has that answer.
func (c *call) redirects(p *exchange.Part) bool {
	h := &p.Head
	switch {
	case len(h.Static)+len(h.SendFile) > 0:
		if !c.x.Server.InTurn() {
			kept := *p
			c.waiting = &kept
			c.x.Server.AwaitTurn()
			return true
		}
		c.handOver(p)
	case h.HandsOn:
		c.handOn(p)
	case h.Refusal || h.Failure && c.x.Server.HasPage(h.Status):
		c.refuse(p)
	default:
		return false
	}
	return true
}

// refuse has the server answer in the place of the handler.
func (c *call) refuse(p *exchange.Part) {
	x, h := c.x, &p.Head
	r := exchange.Reply{Status: h.Status, Text: string(h.Reason), Fields: bytes.Clone(h.Fields)}
	if len(h.Request) > 0 {
		if parsed, err := c.d.parsed(h); err == nil {
			r.HTML = refusal.WantsHTML(parsed, h.Request)
		}
	}
	c.end(p)
	x.Source = exchange.Memory{}
	x.Sink.Reply(r)
}

// subscribes makes the client a subscriber, as p asks. It reports false if that cannot be: then the exchange is answered.
func (c *call) subscribes(p *exchange.Part) bool {
	x := c.x
	if c.gone {
		return true // nothing of p is sent
	}
	parsed, err := c.d.parsed(&p.Head)
	if err != nil {
		c.fail(p, fmt.Sprintf("a handler gave back another request: %v", err))
		return false
	}
	r := exchange.Request{Head: p.Head.Request, Parsed: parsed, Peer: c.peer, Depth: int(c.depth)}
	refusal, ok := c.d.cfg.Channels.Subscribe(x, p, &r)
	if !ok {
		c.end(p)
		x.Source = exchange.Memory{}
		x.Sink.Reply(refusal)
	}
	return ok
}

// handOver has files or a program answer, as p says.
func (c *call) handOver(p *exchange.Part) {
	x := c.x
	parsed, err := c.d.parsed(&p.Head)
	switch {
	case err != nil:
		c.fail(p, fmt.Sprintf("a handler gave back another request: %v", err))
	case p.Head.Program:
		c.handToProgram(p, parsed)
	default:
		if c.extra != nil {
			p.Head.Fields = exchange.MergeFields(p.Head.Fields, c.extra)
		}
		c.d.cfg.Files.Take(x, p, parsed)
		c.end(p)
	}
}

// fail answers 500 because of a bug of the server.
func (c *call) fail(p *exchange.Part, line string) {
	x := c.x
	c.d.host.Log(logfile.Error, "bug: "+line)
	c.end(p)
	x.Source = exchange.Memory{}
	x.Sink.Reply(exchange.Reply{Status: 500})
}

// parsed returns the request that a handler has given back with a head, which is parsed again if the handler has not kept that.
func (d *Dispatcher) parsed(h *exchange.Head) (*http1.Request, error) {
	if h.Parsed != nil {
		return h.Parsed, nil
	}
	parsed := new(http1.Request)
	return parsed, parsed.ParseWhole(h.Request, d.cfg.Limits)
}

// start prepares the handler for programs. It reports whether one exists.
func (p *programs) start(d *Dispatcher) bool {
	if p.handler == nil && d.cfg.Programs != nil {
		p.handler, p.index = d.cfg.Programs()
		d.add(p.handler)
	}
	return p.handler != nil
}

// handToProgram submits the request, for which the handler has named a program (exchange.Head.Program), a second time: the call
// goes on with the parts of that.
func (c *call) handToProgram(p *exchange.Part, parsed *http1.Request) {
	x, d := c.x, c.d
	if !d.programs.start(d) {
		c.fail(p, "a handler let a program answer that cannot")
		return
	}
	again := exchange.Request{
		Ticket:   c.ticket,
		Mount:    d.programs.index,
		Head:     p.Head.Request,
		Parsed:   parsed,
		Path:     p.Head.StaticPath,
		Script:   p.Head.StaticScript,
		Body:     p.Body,
		Spool:    -1,
		Size:     int64(len(p.Body)),
		Peer:     c.peer,
		Options:  string(p.Head.Static),
		ErrorLog: c.errorLog,
		Traced:   c.traced,
	}
	var err error
	if p.File >= 0 {
		again.Size = p.Count
		if again.Spool, err = unix.FcntlInt(uintptr(p.File), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			again.Spool = -1
		}
	}
	c.extra = bytes.Clone(p.Head.Fields)
	if err != nil || !d.programs.handler.Submit(&again) {
		c.end(p)
		x.Source = exchange.Memory{}
		x.Sink.Reply(exchange.Reply{Status: 503, Fields: retryAfter})
		return
	}
	c.parts--
	c.handler.Release(p) // the ticket stays taken
	c.handler = d.programs.handler
	c.pacer, _ = c.handler.(Pacer)
	c.ended = false
	c.owes()
	d.flushes = true
}
