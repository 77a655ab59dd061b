package runtime

import (
	"bytes"
	"slices"

	"fapws/runtime/exchange"
	"fapws/runtime/filter/header"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"

	"golang.org/x/sys/unix"
)

// programs runs the programs that other handlers name.
type programs struct {
	handler Handler // nil: there was none to run
	index   int
}

// start makes ready what runs programs; false: nothing does.
func (p *programs) start(l *loop) bool {
	if p.handler != nil {
		return true
	}
	if l.cfg.Programs == nil {
		return false
	}
	p.handler, p.index = l.cfg.Programs()
	l.handlers = append(slices.Clone(l.handlers), p.handler) // flushBatch may be going through them
	if a, ok := p.handler.(SubrequestHandler); ok {
		a.Serves(l.s.subrequester)
	}
	p.handler.Attach(&l.wake.theirs)
	return true
}

// handOver has x, whose handler lets files or a program answer, answered by these. The handler has done its part with that.
func (l *loop) handOver(x *Exchange, p *exchange.Part) {
	parsed, err := l.parsedOf(&p.Head)
	if err != nil {
		l.s.logf(loglevel.Error, "bug: a handler gave back another request: %v", err)
		x.handler.Release(p)
		x.Reply(exchange.Reply{Status: 500})
		return
	}
	if p.Head.Program {
		l.handToProgram(x, p, parsed)
		return
	}
	if x.extra != nil { // of a handler that has let this one answer
		p.Head.Fields, x.extra = header.Merge(p.Head.Fields, x.extra), nil
	}
	l.s.handed.Take(&x.Exchange, p, parsed)
	x.handler.Release(p) // the ticket stays taken until the file is sent
}

// parsedOf returns the request that a handler has given back with a head, which is parsed again if the handler has not kept that.
func (l *loop) parsedOf(h *exchange.Head) (*http1.Request, error) {
	if h.Parsed != nil {
		return h.Parsed, nil
	}
	parsed := new(http1.Request)
	_, err := parsed.Parse(h.Request, &l.cfg.Limits)
	return parsed, err
}

// handToProgram submits the request of x, whose handler has named a program that
// answers it (exchange.Head.Program), a second time: x goes on with the parts of
// that.
func (l *loop) handToProgram(x *Exchange, p *exchange.Part, parsed *http1.Request) {
	if !l.programs.start(l) {
		l.s.logf(loglevel.Error, "bug: a handler let a program answer that cannot")
		x.handler.Release(p)
		x.Reply(exchange.Reply{Status: 500})
		return
	}
	again := exchange.Request{
		Ticket:  x.ticket,
		Mount:   l.programs.index,
		Head:    p.Head.Request,
		Parsed:  parsed,
		Path:    p.Head.StaticPath,
		Script:  p.Head.StaticScript,
		Body:    p.Body,
		Spool:   -1,
		Size:    int64(len(p.Body)),
		Peer:    x.peer,
		Options: string(p.Head.Static),
	}
	if x.rules != nil {
		again.ErrorLog = x.rules.number
	}
	var err error
	if p.File >= 0 {
		again.Size = p.Count
		if again.Spool, err = unix.FcntlInt(uintptr(p.File), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			again.Spool = -1
		}
	}
	x.extra = bytes.Clone(p.Head.Fields)
	taken := err == nil && l.programs.handler.Submit(&again)
	x.handler.Release(p)
	if !taken {
		x.Reply(exchange.Reply{Status: 503, Fields: retryAfter})
		return
	}
	x.handler = l.programs.handler
	x.since, x.owed = l.now(), true
	l.submitted = true
}
