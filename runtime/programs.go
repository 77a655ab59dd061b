package runtime

import (
	"bytes"
	"slices"

	"fapws/runtime/exchange"
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

// handToProgram submits the request of x, whose handler has named a program that
// answers it (exchange.Head.Program), a second time: x goes on with the parts of
// that. The first handler has done its part.
func (l *loop) handToProgram(x *Exchange, p *exchange.Part) {
	head := bytes.Clone(p.Head.Request)
	parsed := new(http1.Request)
	_, err := parsed.Parse(head, &l.cfg.Limits)
	if err != nil || !l.programs.start(l) {
		l.s.logf(loglevel.Error, "bug: a handler let a program answer that cannot (%v)", err)
		x.handler.Release(p)
		x.Reply(exchange.Reply{Status: 500})
		return
	}
	again := exchange.Request{
		Ticket:  x.ticket,
		Mount:   l.programs.index,
		Head:    head,
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
