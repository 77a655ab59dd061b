package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"fapws/runtime"
)

// signals turns what the process is sent into a stop, in three steps: before
// the server runs, TERM and INT end the process as they would end python3; then
// the first one asks for a graceful stop; another one ends it at once.
//
// A script that takes a signal with signal.signal has it from then on: nothing
// here registers again.
type signals struct {
	caught chan os.Signal
	log    func(runtime.Level, string)
	exit   func(code int)

	mu      sync.Mutex
	serving bool
	stop    chan struct{} // closed at the first TERM or INT while serving
	stopped bool
}

// watchSignals starts watching; exit ends the process. Call it before Python
// starts.
func watchSignals(log func(runtime.Level, string), exit func(code int)) *signals {
	s := &signals{caught: make(chan os.Signal, 8), log: log, exit: exit, stop: make(chan struct{})}
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		if !signal.Ignored(sig) { // nohup, or a job in the background of a script
			signal.Notify(s.caught, sig)
		}
	}
	// As python3 does, so that writing to a closed pipe, or beyond the limit of
	// a file's size, is an error that handlers can catch.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	go func() {
		for sig := range s.caught {
			s.handle(sig)
		}
	}()
	return s
}

// serve says that from now on there is something to stop gracefully.
func (s *signals) serve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = true
}

// finish stops gracefully, as the first TERM does.
func (s *signals) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving && !s.stopped {
		s.stopped = true
		close(s.stop)
	}
}

func (s *signals) handle(sig os.Signal) {
	if sig != syscall.SIGTERM && sig != syscall.SIGINT {
		s.log(runtime.LevelInfo, sig.String()+": nothing to do")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.serving:
		s.exit(128 + int(sig.(syscall.Signal)))
	case s.stopped:
		s.log(runtime.LevelWarning, "told twice to stop: leaving at once")
		s.exit(exitRuntime)
	default:
		s.stopped = true
		close(s.stop)
	}
}
