package forkserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"fapws/runtime/source/cgi"
)

// Options says how a Server gets its fork server.
type Options struct {
	// Command makes the command that becomes the fork server. It finds the control socket at descriptor 3 and a pipe
	// at 4, to which it writes a description of the loaded application, and which it closes before it serves.
	Command func() *exec.Cmd

	// Log writes a line to the error log of the server, from any goroutine: the fork
	// server has ended while the Server was open. Another one is started then.
	Log func(line string)

	// Killed returns why the kernel has killed a process (SIGKILL), "" if that is not known. It is called
	// from any goroutine. Optional.
	Killed func() string

	// Failed is called once, on a separate goroutine, when the next one cannot take its
	// place: no request can be answered any more. line says why.
	Failed func(line string)

	// Asleep is called, from any goroutine, when the fork server has ended because no request needed it. Optional.
	Asleep func()
}

// Serving is the settings that a Server gets after it has been opened.
type Serving struct {
	Gate *cgi.Gate // bounds the children, and the requests that wait for one

	// Log writes a line about a client's request to the error log with that number
	// (exchange.Request.ErrorLog).
	Log func(number int, client, line string)

	// LogPath returns the path of that error log, "" for standard error.
	LogPath func(number int) string

	// StartWait is how long a request waits for a fork server that has to load the application; a browser that opens a page gets
	// one that refreshes itself before. IdleStop is after how long without children the fork server ends until a request needs
	// it; 0: never.
	StartWait, IdleStop time.Duration

	// Messages gets the messages of a child to the server, in addition to its response (pybridge.ReadMessages).
	Messages func(raw []byte)
}

// Server has requests answered by children of a fork server. Any goroutine may use it.
type Server struct {
	o       Options
	serving Serving // set by Serve
	loaded  []byte  // what each fork server must have loaded

	mu      sync.Mutex
	closed  bool
	current *process
	changed chan struct{} // closed when another process is the current one, or could not be
	idle    idle
}

// LoadError is the error of Open when the application did not load. The fork server has
// said why, unless it was killed: Code is -1 then.
type LoadError struct {
	Code int // exit status
	line string
}

// Error implements error.
func (e *LoadError) Error() string { return e.line }

// Open starts the fork server and returns its description of the loaded application. The error is a *LoadError or one
// line.
func Open(o Options) (s *Server, loaded []byte, err error) {
	p, loaded, err := startProcess(&o)
	var failed *loadError
	if errors.As(err, &failed) {
		return nil, nil, &LoadError{failed.code, err.Error()}
	}
	if err != nil {
		return nil, nil, err
	}
	s = &Server{o: o, loaded: loaded, current: p, changed: make(chan struct{})}
	go s.watch(p)
	return s, loaded, nil
}

// Serve makes the Server ready for requests. Once, before the first.
func (s *Server) Serve(serving Serving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = serving
	s.rest()
}

// FollowStderr gives the fork server the descriptor 2 that this process has now, after
// the error log was rotated.
func (s *Server) FollowStderr() {
	s.mu.Lock()
	p := s.current
	s.mu.Unlock()
	if p != nil {
		_ = p.order(opStderr, 0, 2)
	}
}

// Running describes each child that runs in a line, the oldest first.
func (s *Server) Running() []string {
	s.mu.Lock()
	p := s.current
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.list()
}

// fork makes a child, as soon as there is a fork server.
func (s *Server) fork(ctx context.Context, about string) (*process, *running, *child, error) {
	for {
		s.mu.Lock()
		p, changed, closed := s.current, s.changed, s.closed
		failed := s.wake()
		s.mu.Unlock()
		switch {
		case closed:
			return nil, nil, nil, errGone
		case failed:
			return nil, nil, nil, errAsleep
		}
		if p != nil {
			run, c, err := p.fork(about)
			if !errors.Is(err, errGone) {
				return p, run, c, err
			}
			<-p.exited
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, nil, ctx.Err()
		}
	}
}

// watch waits for the end of p and starts another one in its place, if that is wanted.
func (s *Server) watch(p *process) {
	p.listen()
	s.mu.Lock()
	if s.closed || s.current != p { // it was put to sleep, and a request may have started the next one since
		s.mu.Unlock()
		return
	}
	s.current = nil
	s.idle.since = time.Now()
	s.rest()
	s.mu.Unlock()
	s.o.Log(p.how + "; starting another one")
	for pause := time.Second; ; pause = min(2*pause, longestPause) {
		err := s.start()
		if err == nil {
			return
		}
		s.o.Log(fmt.Sprintf("%v; trying again in %v", err, pause))
		time.Sleep(pause)
	}
}

// start starts another fork server.
func (s *Server) start() error {
	next, loaded, err := startProcess(&s.o)
	switch {
	case err != nil:
		return err
	case bytes.Equal(loaded, s.loaded):
		s.replace(next)
		return nil
	}
	next.listenToEnd()
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.changed)
	}
	s.mu.Unlock()
	s.o.Failed("the application has changed while it was served: restart the server")
	return nil
}

// longestPause is the maximum between two attempts to start a fork server.
const longestPause = 30 * time.Second

// listenToEnd ends a fork server that is not wanted.
func (p *process) listenToEnd() {
	go p.listen()
	p.end(0)
}

// replace makes p the fork server.
func (s *Server) replace(p *process) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		p.listenToEnd()
		return
	}
	s.current, s.idle.asleep = p, false
	s.rest()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	go s.watch(p)
}

// Close ends the fork server, and with it the children that are left. It returns when
// the process has ended, which it is made to after d. Once.
func (s *Server) Close(d time.Duration) {
	s.mu.Lock()
	p := s.current
	if !s.closed {
		s.closed = true
		close(s.changed)
	}
	s.mu.Unlock()
	if p != nil {
		p.end(d)
	}
}
