package conn

import (
	"runtime/debug"

	"fapws/runtime/loglevel"
)

// Beside runs work on a goroutine, and then done on the loop, if that has not ended. bug reports whether work has panicked, which is
// logged.
func (s *Set) Beside(work func(), done func(bug bool)) {
	go func() {
		bug := s.try(work)
		s.Events.Post(func() { done(bug) })
	}()
}

// try runs f and reports whether it has panicked.
func (s *Set) try(f func()) (bug bool) {
	defer func() {
		if p := recover(); p != nil {
			s.Log(loglevel.Error, "bug: %v in %s", p, debug.Stack())
			bug = true
		}
	}()
	f()
	return false
}
