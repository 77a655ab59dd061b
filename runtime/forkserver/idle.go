package forkserver

import (
	"errors"
	"fmt"
	"time"
)

// idle is what a Server knows of its idle times. It is guarded by Server.mu.
type idle struct {
	occupied int         // requests that want a child or have one
	rests    uint64      // how often rest was called
	timer    *time.Timer // ends the fork server, while nothing is occupied
	asleep   bool        // there is none, because no request needed it
	waking   bool        // one is being started again
	failed   time.Time   // when that could not be done last
	since    time.Time   // when it began last
}

const (
	// sleepWithin is in which time a fork server without children has to end.
	sleepWithin = 5 * time.Second

	// failedFor is how long requests are refused after a failed start, so that each of them does not cause another one.
	failedFor = time.Second
)

// errAsleep says that the application could not be loaded again.
var errAsleep = errors.New("the application failed to load")

// Asleep reports whether there is no fork server because no request has needed it.
func (s *Server) Asleep() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idle.asleep
}

// occupied counts by more requests that want a child, or have one.
func (s *Server) occupied(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle.occupied += by
	s.rest()
}

// rest begins to wait for the end of the fork server, or ends that. s.mu is held.
func (s *Server) rest() {
	i := &s.idle
	i.rests++
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
	if i.occupied == 0 && s.serving.IdleStop > 0 && s.current != nil {
		this := i.rests
		i.timer = time.AfterFunc(s.serving.IdleStop, func() { s.sleep(this) })
	}
}

// sleep ends the fork server, unless the rest with that number has ended meanwhile.
func (s *Server) sleep(rest uint64) {
	s.mu.Lock()
	p := s.current
	if s.closed || s.idle.rests != rest {
		s.mu.Unlock()
		return
	}
	s.current, s.idle.timer, s.idle.asleep = nil, nil, true
	s.mu.Unlock()
	p.end(sleepWithin)
	if s.o.Asleep != nil {
		s.o.Asleep()
	}
}

// wake has a fork server started if there is none for want of requests. It reports whether that has failed just now. s.mu is held.
func (s *Server) wake() (failed bool) {
	i := &s.idle
	if !i.asleep || i.waking || s.closed {
		return false
	}
	if time.Since(i.failed) < failedFor {
		return true
	}
	i.waking, i.since = true, time.Now()
	go func() {
		err := s.start()
		if err != nil {
			s.o.Log(fmt.Sprintf("cannot load the application again: %v; the next request tries it once more", err))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		i.waking = false
		if err != nil && !s.closed {
			i.failed = time.Now()
			close(s.changed)
			s.changed = make(chan struct{})
		}
	}()
	return false
}
