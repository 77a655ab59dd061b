package runtime

import (
	"runtime/debug"

	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
)

// An Exchange is Sink and Server of itself: what its source sends goes to the connection, or has to wait for its turn there.

var (
	_ exchange.Sink   = (*Exchange)(nil)
	_ exchange.Server = (*Exchange)(nil)
)

// of returns the Exchange of the loop that x is part of.
func of(x *exchange.Exchange) *Exchange { return x.Server.(*Exchange) }

// Send implements exchange.Sink.
func (x *Exchange) Send(p *exchange.Part) {
	if p.Last {
		if x.detached && x.l.reattachSocket(x, p) {
			return
		}
		x.unwanted()
	}
	switch c := x.conn; {
	case x.socket != nil && x.socket.HasConn():
		x.socket.Send(p)
	case c == nil, p.Interim && !x.takesInterim():
		x.release(p)
	case c.first != x || c.Writing():
		x.hold(p)
	default:
		x.transmit(p)
		c.advance()
	}
}

// InTurn implements exchange.Server.
func (x *Exchange) InTurn() bool { return x.isFirst() }

// AwaitTurn implements exchange.Server.
func (x *Exchange) AwaitTurn() {
	if x.phase == deciding {
		x.suspend(awaitingTurn)
	} else {
		x.awaitsTurn = true
	}
}

// Keep implements exchange.Server.
func (x *Exchange) Keep() {
	x.l.host.Keep(x)
	x.lasting = true
}

// HasPage implements exchange.Server.
func (x *Exchange) HasPage(status int) bool { return x.rules.errorPages().Has(status) }

// WaitsForClient implements exchange.Server. Parts may wait for the client, or for earlier responses, or the rest of a body is
// awaited. An application with a descriptor of its own (detached) may wait for the client at any time.
func (x *Exchange) WaitsForClient() bool {
	if c := x.conn; c != nil && (x.detached || x.out.Begun && c.Writing() || c.body != nil && !c.stopped) {
		return true
	}
	return len(x.held) > 0
}

// Beside implements exchange.Server.
func (x *Exchange) Beside(work func(), done func(gone bool)) {
	l := x.l
	if x.phase == deciding {
		s := x.Source
		x.suspend(awaitingSource)
		x.Source = s
	}
	x.beside = true
	go func() {
		bug := l.try(work)
		l.post(func() { l.besideDone(x, done, bug) })
	}()
}

// try runs f beside the loop, and reports whether it has panicked.
func (l *loop) try(f func()) (bug bool) {
	defer func() {
		if p := recover(); p != nil {
			l.s.logf(loglevel.Error, "bug: %v in %s", p, debug.Stack())
			bug = true
		}
	}()
	f()
	return false
}

// besideDone goes on with x, whose source has done its work beside the loop.
func (l *loop) besideDone(x *Exchange, done func(gone bool), bug bool) {
	if c := x.conn; c != nil && bug {
		c.Close("internal error")
	}
	x.beside = false
	c := x.conn
	if c == nil {
		if !bug {
			done(true)
		}
		x.end()
		return
	}
	if x.phase == awaitingSource {
		c.undecided, x.phase = nil, answering
	}
	c.Stamp = l.now()
	done(false)
}

// Wall implements exchange.Server.
func (x *Exchange) Wall() int64 { return x.l.wall() }

// Log implements exchange.Server.
func (x *Exchange) Log(level loglevel.Level, line string) {
	x.l.logClient(x.conn, x.rules, level, "%s", line)
}

// NoteFile implements exchange.Server.
func (x *Exchange) NoteFile(root string, path []byte) {
	if x.log != nil {
		x.log.File = append(append(x.log.File[:0], root...), path...)
	}
}
