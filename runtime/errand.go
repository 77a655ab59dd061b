package runtime

import (
	goruntime "runtime"

	"fapws/runtime/eventloop"
)

// errand is work for the thread of the loop that would hold the loop up. Another goroutine runs the loop meanwhile.
type errand struct {
	do   func() // nil: there is none
	done chan struct{}
}

// run runs the loop, and errands between. It returns nil when the loop has stopped, or else why it cannot go on.
func (s *Server) run() error {
	events := s.loop.conns.Events
	for {
		err := events.Run()
		if err != eventloop.ErrLeft {
			return err
		}
		e := s.errand
		s.errand = errand{}
		s.lock.Do(goruntime.LockOSThread)
		left := make(chan error, 1)
		go func() { left <- events.Run() }()
		e.do()
		events.Post(events.Leave)
		err = <-left
		close(e.done)
		if err != eventloop.ErrLeft {
			return err
		}
	}
}

// DoBeside is Do for an f that may take long: until it has returned, another goroutine runs the loop, so the Handler of Serve
// must not depend on a thread yet. Call it when an earlier call has returned, and neither Do nor DoBeside meanwhile.
func (s *Server) DoBeside(f func()) {
	done := make(chan struct{})
	if s.loop.post(func() {
		s.errand = errand{do: f, done: done}
		s.loop.conns.Events.Leave()
	}) {
		<-done
	}
}
