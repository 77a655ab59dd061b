package runtime

import (
	"errors"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
)

// What sources that run applications, and the cache in front of them, need of the server.

// appHost is the loop as package app needs it. It implements app.Host.
type appHost struct{ l *loop }

func (h appHost) Now() int64     { return h.l.now() }
func (h appHost) Exact() int64   { return int64(time.Since(h.l.conns.Start())) }
func (h appHost) Flush()         { h.l.sites.Turn(); h.l.conns.Flush() }
func (h appHost) Occupied(n int) { h.l.accepting.Occupied(n) }
func (h appHost) Recover()       { h.l.recover(recover()) }

func (h appHost) HeldUp() {
	before := h.l.now()
	h.l.clock(time.Now())
	h.l.heldUp(before)
}

func (h appHost) Log(level logfile.Level, line string) { h.l.s.log(level, line) }

// pagesHost is the loop as the cache needs it. It implements cache.Host.
type pagesHost struct{ l *loop }

func (h pagesHost) Now() int64  { return h.l.now() }
func (h pagesHost) Wall() int64 { return h.l.wall() }
func (h pagesHost) Flush()      { h.l.sites.Turn(); h.l.conns.Flush() }

func (h pagesHost) Beside(work func(), done func(bug bool)) {
	h.l.conns.Beside(work, done)
}

func (h pagesHost) Log(level logfile.Level, line string) { h.l.s.log(level, line) }

func (h pagesHost) Invalidated(p cache.Pattern) {
	if h.l.cfg.Purged != nil {
		h.l.cfg.Purged(p)
	}
}

// wall returns the time in nanoseconds since 1970, at most tickLength late.
func (l *loop) wall() int64 { return l.conns.Start().UnixNano() + l.now() }

// appConfig returns the Config of the loop's Dispatcher.
func (s *Server) appConfig() app.Config {
	c := app.Config{
		Limits:      &s.again,
		Files:       s.handed,
		Channels:    s.loop.subscribers,
		Waker:       &s.loop.wake.theirs,
		Programs:    s.cfg.Programs,
		Subrequests: s.subrequests,
	}
	if s.cfg.Debug >= 2 {
		c.Trace = s.loop.tracef
	}
	return c
}

// subrequests returns the client by which a request has the server answer others. They come in connections like those of clients,
// so they pass all rules. These do not count as clients, have no line in the access log, and may still begin when the server
// stops, because their request began before.
func (s *Server) subrequests(o exchange.Origin) exchange.Subrequester {
	return newSubrequester(o, func(fd int) error {
		c := s.loop.sites.NewSubrequest(fd, &o)
		if !s.loop.post(func() { s.loop.open(c) }) {
			return errStopped
		}
		return nil
	})
}

var errStopped = errors.New("the server has stopped")

// source returns what answers at a mount with a Handler. bulky reports whether its responses may have any size before the
// loop knows: only the handler of the application waits with one for the client of another.
func (s *Server) source(m *sites.Mount, main app.Handler) (source exchange.Source, bulky bool) {
	o := app.Options{Timeout: s.cfg.Timeout}
	if own := m.Timeout(); own != 0 {
		o.Timeout = own
	}
	if o.Timeout = max(o.Timeout, 0); m.Asks && m.Receives == nil {
		o.Timeout = 0
	}
	if s.cfg.Concurrency > 0 {
		o.Occupies = m.Occupies
	}
	source = s.loop.app.Source(m.Handler, o)
	if r := m.Receives; r != nil {
		return s.loop.app.Receiving(r.Handler, r.Index, source), true
	}
	if m.Cache != nil && s.loop.pages != nil {
		return s.loop.pages.Source(m.Cache, source), true
	}
	_, paced := m.Handler.(app.Pacer)
	return source, !paced || m.Handler != main
}
