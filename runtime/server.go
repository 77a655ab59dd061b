// Package runtime is the server: it accepts connections, speaks HTTP/1.1 on
// them, serves static files, and hands all other requests to a Handler. It
// knows nothing of what a Handler runs.
//
// One gnet event loop owns the connections. What would make it wait (a file,
// a client that reads slowly) goes to a goroutine: see transfer.
package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Server serves one table of mounts on any number of listeners. Its methods
// may be called from any goroutine but the loop's.
type Server struct {
	cfg    Config
	client *gnet.Client
	loop   *loop

	slots     chan struct{} // one element per open connection
	stop      chan struct{} // closed when accepting ends
	stopOnce  sync.Once
	listeners []net.Listener
	acceptors sync.WaitGroup
	serving   atomic.Bool
	lock      sync.Once
	roots     roots
}

// New starts the loop. Nothing listens yet.
func New(cfg Config) (*Server, error) {
	s := &Server{stop: make(chan struct{})}
	s.loop = newLoop(s)
	s.configure(cfg)
	var err error
	s.client, err = gnet.NewClient(s.loop,
		gnet.WithNumEventLoop(1),
		gnet.WithReadBufferCap(s.cfg.ReadBuffer),
		gnet.WithWriteBufferCap(1), // nothing is written through gnet
		gnet.WithLogger(gnetLog{s}))
	if err != nil {
		return nil, fmt.Errorf("event loop: %w", err)
	}
	if err = s.client.Start(); err != nil {
		return nil, fmt.Errorf("event loop: %w", err)
	}
	if err = s.loop.wake.open(s.client); err != nil {
		s.client.Stop()
		return nil, fmt.Errorf("event loop: %w", err)
	}
	s.loop.epoll = epollOf(s.loop.wake.conn.EventLoop())
	s.loop.chores = choresOf(s.loop.wake.conn.EventLoop())
	go s.tick()
	return s, nil
}

// Configure replaces the Config, all of it but ReadBuffer, for who learns it
// only after New (from a script that has to be loaded on the loop). Call it
// before Serve.
func (s *Server) Configure(cfg Config) {
	s.do(func() { s.configure(cfg) })
}

func (s *Server) configure(cfg Config) {
	s.cfg = cfg.withDefaults()
	s.slots = make(chan struct{}, s.cfg.MaxClients)
	s.loop.debug = s.cfg.Debug
	s.loop.timed = s.cfg.AccessLog != nil || s.cfg.Answered != nil || s.cfg.Debug > 0
}

// Do runs f on the loop's goroutine and returns when it has ended. The first
// Do ties the loop to its thread for good: what f leaves in the thread (an
// interpreter that runs inline) is there in every later call of the Handler.
// Do not call it on the loop itself.
func (s *Server) Do(f func()) {
	s.do(func() {
		s.lock.Do(func() {
			goruntime.LockOSThread()
			s.loop.locked = true
		})
		f()
	})
}

// Ping returns when the loop has answered, or ctx's error: an inline handler
// that does not return holds it up.
func (s *Server) Ping(ctx context.Context) error {
	answered := make(chan struct{})
	s.loop.post(func() { close(answered) })
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// do runs f on the loop and waits for its end.
func (s *Server) do(f func()) {
	done := make(chan struct{})
	s.loop.post(func() {
		defer close(done)
		f()
	})
	<-done
}

// Serve starts to accept connections on the listeners, which it owns from now
// on, and returns at once. Requests go to the first mount of table whose
// prefix fits: to its static files or to h. Call it once.
func (s *Server) Serve(listeners []net.Listener, table []Mount, h Handler) error {
	if !s.serving.CompareAndSwap(false, true) {
		return errors.New("Serve was called before")
	}
	s.do(func() {
		s.loop.table, s.loop.handler = table, h
		h.Attach(s.loop.wake.theirs)
	})
	s.listeners = listeners
	for _, ln := range listeners {
		spare := newSpare(s.loop.wake.theirs)
		s.acceptors.Go(func() { s.accept(ln, spare) })
	}
	return nil
}

// Shutdown stops accepting, lets the requests that have arrived be answered
// until ctx ends, then closes what is left and returns ctx's error. The loop
// goes on for Do; Close ends it.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopAccepting()
	s.loop.post(s.loop.drain)
	select {
	case <-s.loop.drained:
		return nil
	case <-ctx.Done():
	}
	s.loop.post(s.loop.closeAll)
	select {
	case <-s.loop.drained:
	case <-time.After(closeWithin):
	}
	return ctx.Err()
}

// closeWithin is how long Shutdown waits for the loop after the time of its
// ctx; a handler may be holding it up.
const closeWithin = time.Second

// Close ends everything at once, the loop too.
func (s *Server) Close() error {
	s.stopAccepting()
	s.acceptors.Wait() // gnet cannot stop while a connection is on its way to it
	s.loop.post(s.loop.drain)
	s.loop.post(s.loop.closeAll)
	<-s.loop.drained
	close(s.loop.ended)
	err := s.client.Stop()
	s.loop.wake.close()
	return err
}

// Served returns how many requests there have been, or -1 if the loop does not
// say so at once: a handler may be holding it up.
func (s *Server) Served() int64 {
	said := make(chan int64, 1)
	s.loop.post(func() { said <- s.loop.served })
	select {
	case n := <-said:
		return n
	case <-time.After(servedWithin):
		return -1
	}
}

const servedWithin = 200 * time.Millisecond

// stopAccepting closes the listeners. A connection that is on its way to the
// loop is closed there: see OnOpen.
func (s *Server) stopAccepting() {
	s.stopOnce.Do(func() {
		close(s.stop)
		for _, ln := range s.listeners {
			if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				s.logf(LevelWarning, "closing %s: %v", ln.Addr(), err)
			}
		}
	})
}

func (s *Server) logf(level Level, format string, args ...any) {
	s.cfg.Log(level, fmt.Sprintf(format, args...))
}

// gnetLog passes on what gnet thinks is wrong. Its debug and info lines are
// about itself.
type gnetLog struct{ s *Server }

func (g gnetLog) Debugf(string, ...any) {}
func (g gnetLog) Infof(string, ...any)  {}
func (g gnetLog) Warnf(format string, args ...any) {
	g.s.logf(LevelDebug, "gnet: "+format, args...)
}
func (g gnetLog) Errorf(format string, args ...any) {
	g.s.logf(LevelError, "gnet: "+format, args...)
}
func (g gnetLog) Fatalf(format string, args ...any) {
	g.Errorf(format, args...)
	os.Exit(1)
}
