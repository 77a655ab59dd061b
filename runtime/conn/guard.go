package conn

import "fapws/runtime/logfile"

// LogBug logs a fault of the server: the result of recover, or a text. It is safe for concurrent use.
func (s *Set) LogBug(fault any) {
	s.faults.Log(fault, func(line string) { s.Log(logfile.Error, "bug: %s", line) })
}

// Guard must be deferred around work for the client of c that is not an event of c, such as a part of a response or a
// deadline. If the work panics, Guard logs the panic and closes c, and the work of other clients continues. If c is
// nil, Guard does nothing, and the panic ends all work that it may concern (eventloop.Loop.OnPanic).
func (s *Set) Guard(c *Conn) {
	if c == nil {
		return
	}
	if p := recover(); p != nil {
		s.Fail(p, c)
	}
}

// guarded calls f, which is work for c and not an event of c.
func (c *Conn) guarded(f func(*Conn)) {
	defer c.set.Guard(c)
	f(c)
}

// Fail logs the result p of recover, and closes the connections whose work the panic has interrupted.
func (s *Set) Fail(p any, interrupted ...*Conn) {
	s.LogBug(p)
	for _, c := range interrupted {
		s.try(func() { c.Close("internal error") }) // the panic may have damaged the state of c
	}
}

// Offload runs work on a goroutine, and then done on the loop, unless the loop has ended. If work panics, Offload logs
// the panic and calls done with bug = true. If done panics, c closes; nil means that no connection is known.
func (s *Set) Offload(c *Conn, work func(), done func(bug bool)) {
	go func() {
		bug := s.try(work)
		s.Events.Post(func() {
			defer s.Guard(c)
			done(bug)
		})
	}()
}

func (s *Set) try(f func()) (bug bool) {
	defer func() {
		if p := recover(); p != nil {
			s.LogBug(p)
			bug = true
		}
	}()
	f()
	return false
}

// Soon makes Resume call f once. If f panics, c closes; nil means that no connection is known.
func (s *Set) Soon(c *Conn, f func()) { s.soon = append(s.soon, soon{c, f}) }

type soon struct {
	c *Conn
	f func()
}

func (n soon) call(s *Set) {
	defer s.Guard(n.c)
	n.f()
}
