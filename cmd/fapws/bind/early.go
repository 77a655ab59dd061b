package bind

import (
	"slices"
	"sync"
	"syscall"

	"fapws/runtime/listen"
)

// Early has sockets that are opened before the application is loaded: clients are answered meanwhile, or wait in the queues of
// the kernel, instead of being refused. Its methods are safe for concurrent use, because a signal may end the process meanwhile.
type Early[S syscall.Conn] struct {
	Open  func(addrs []string, o listen.Options) ([]S, error) // with an error, returns the sockets opened so far
	Close func([]S)

	mu      sync.Mutex
	addrs   []string
	backlog int
	sockets []S
}

// Listen opens sockets at addrs. It returns an error only if the addresses are certain, see Passed.Early.
func (e *Early[S]) Listen(addrs []string, certain bool, o listen.Options) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	sockets, err := e.Open(addrs, o)
	if err == nil {
		e.addrs, e.backlog, e.sockets = addrs, o.Backlog, sockets
		return nil
	}
	e.Close(sockets)
	if certain {
		return err
	}
	return nil
}

// Sockets returns those that are open. They stay with e until Take.
func (e *Early[S]) Sockets() []S {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sockets
}

// Take returns sockets at addrs, which belong to the caller, even with an error: those of Listen, or new ones if its
// addresses were different.
func (e *Early[S]) Take(addrs []string, o listen.Options) ([]S, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	early := e.sockets
	e.sockets = nil
	if early == nil || !slices.Equal(addrs, e.addrs) {
		e.Close(early)
		return e.Open(addrs, o)
	}
	if o.Backlog != e.backlog {
		for _, socket := range early {
			listen.SetBacklog(socket, o.Backlog)
		}
	}
	return early, nil
}

// Drop closes the sockets that were not taken.
func (e *Early[S]) Drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Close(e.sockets)
	e.sockets = nil
}
