package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"fapws/runtime"
)

// scriptGrace replaces the graceful timeout when a signal handler of the
// script called sys.exit: Python serves nothing any more.
const scriptGrace = time.Second

// cutTime is more than a loop takes to cut off connections, and less than
// Shutdown waits for one that does not answer.
const cutTime = 500 * time.Millisecond

// serve returns when a signal or the script has ended serving, and everything
// that was in flight too. It returns the exit code.
func (s *service) serve() (code int) {
	done := make(chan struct{})
	go func() {
		<-s.signals.stop
		s.stop(s.conf.GracefulTimeout, exitOK)
		close(done)
	}()
	if code := s.app.Serve(); code >= 0 {
		s.stop(min(scriptGrace, s.conf.GracefulTimeout), code)
		return code
	}
	<-done
	return exitOK
}

// stop finishes what is in flight and ends the Python threads. A handler that
// does not return cannot be stopped from outside: then stop does not return
// either, but runs what the script registered with atexit and ends the process
// with code.
func (s *service) stop(grace time.Duration, code int) {
	s.log.log(runtime.LevelInfo, fmt.Sprintf("stopping: up to %v for what is in flight, another signal stops at once", grace))
	s.told(s.notifier.Stopping())
	quiet := make(chan struct{})
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		if err := s.server.Shutdown(ctx); err != nil {
			s.log.log(runtime.LevelWarning, fmt.Sprintf("%v are over: cut off what was still in flight", grace))
		}
		close(quiet)
	}()
	select {
	case <-quiet:
	case <-time.After(grace + cutTime): // inline: a handler keeps the loop
		s.leave(code)
	}
	if s.app.Stop() > 0 {
		s.leave(code)
	}
}

// leave ends the process around a handler that does not return.
func (s *service) leave(code int) {
	s.log.log(runtime.LevelWarning, "a handler does not return: leaving without it")
	exitAfterClosingTime(code, func(line string) { s.log.log(runtime.LevelWarning, line) })
	s.withdraw()
	s.app.RunAtexit()
	s.closeLog()
	os.Exit(code)
}
