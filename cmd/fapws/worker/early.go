package worker

import (
	"net"
	"slices"
	"sync"

	"fapws/cmd/fapws/bind"
	"fapws/runtime"
)

// earlyListeners are those of a process without a supervisor, until listen takes them.
type earlyListeners struct {
	mu        sync.Mutex // a signal may end the process meanwhile
	addrs     []string
	backlog   int
	listeners []net.Listener
}

// listenEarly listens as far as the addresses are known before the application is loaded.
func (s *service) listenEarly() error {
	addrs, certain := s.front.Passed.Early(s.plan.Settings, &s.conf, s.plan.FirstApp())
	options, err := bind.Options(&s.conf)
	if err != nil {
		return err
	}
	listeners, err := bind.Listen(addrs, options)
	if err == nil {
		err = keepFromChildren(listeners)
	}
	if err != nil && certain {
		return err
	}
	if err == nil {
		s.early.mu.Lock()
		s.early.addrs, s.early.backlog, s.early.listeners = addrs, s.conf.Backlog, listeners
		s.early.mu.Unlock()
	}
	return nil
}

// listen binds what the settings say.
func (s *service) listen() ([]net.Listener, error) {
	options, err := bind.Options(&s.conf)
	if err != nil {
		return nil, err
	}
	addrs, err := s.front.Passed.Addresses(&s.conf, s.plan.Settings.Source("bind"), s.log.Log)
	if err != nil {
		return nil, err
	}
	if early := s.early.take(addrs, s.conf.Backlog); early != nil {
		return early, nil
	}
	return bind.Listen(addrs, options)
}

// take returns the listeners if they are those of addrs, and closes them otherwise.
func (e *earlyListeners) take(addrs []string, backlog int) []net.Listener {
	if !slices.Equal(addrs, e.addrs) {
		e.close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	listeners := e.listeners
	e.listeners = nil
	if backlog != e.backlog {
		for _, ln := range listeners {
			runtime.SetBacklog(ln, backlog)
		}
	}
	return listeners
}

// close closes the listeners, and removes the files of unix sockets.
func (e *earlyListeners) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ln := range e.listeners {
		ln.Close()
	}
	e.listeners = nil
}
