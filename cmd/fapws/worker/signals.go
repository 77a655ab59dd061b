package worker

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
)

// signals turns signals into shutdown requests, in three steps: before
// the server runs, TERM, INT and QUIT end the process as they would end python3;
// then the first TERM or INT asks for a graceful stop, QUIT for a quick one; a
// second TERM or INT, unless it is an echo of the first, ends it at once.
//
// A worker leaves them to its supervisor, except TERM, which no terminal sends: it means
// the worker itself, and another one takes its place first.
//
// A script that takes a signal with signal.signal has it from then on: nothing
// here registers again.
type signals struct {
	caught chan os.Signal
	log    func(logfile.Level, string)
	exit   func(code int)
	reopen func() // the log files

	// reread reads certificates again, and reports whether there are any. nil: another process does.
	reread func() bool

	// replace asks the supervisor of a worker for another one in its place;
	// nil without one.
	replace func(why string)

	registered chan struct{} // closed then

	mu      sync.Mutex
	serving bool
	stopped bool
	told    time.Time            // when the first request came
	orders  chan shutdownRequest // how to end
}

// watchSignals starts watching, beside the caller: the runtime changes threads several times for each signal. exit must end
// the process.
func watchSignals(log func(logfile.Level, string), exit func(code int), reopen func(), replace func(why string), reread func() bool) *signals {
	s := &signals{caught: make(chan os.Signal, 8), log: log, exit: exit, reopen: reopen, replace: replace, reread: reread, registered: make(chan struct{}), orders: make(chan shutdownRequest, 8)}
	go s.watch()
	return s
}

// begun returns when signals are watched. Call it before Python starts.
func (s *signals) begun() { <-s.registered }

func (s *signals) watch() {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		if !signal.Ignored(sig) { // nohup, or a job in the background of a script
			signal.Notify(s.caught, sig)
		}
	}
	// They are for supervisors. Whom they reach as well, as when a shell sends
	// them to a job, would be stopped.
	signal.Ignore(syscall.SIGTTIN, syscall.SIGTTOU)
	close(s.registered)
	for sig := range s.caught {
		s.handle(sig)
	}
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
	stopped := s.stopped
	s.mu.Unlock()
	if !stopped {
		s.end(shutdownRequest{how: gracefully}, process.OK)
	}
}

func (s *signals) handle(sig os.Signal) {
	switch {
	case sig == syscall.SIGUSR1:
		s.reopen()
	case s.replace != nil:
		if sig == syscall.SIGTERM {
			s.askReplace()
		}
	case sig == syscall.SIGTERM || sig == syscall.SIGINT:
		s.end(shutdownRequest{how: gracefully}, 128+int(sig.(syscall.Signal)))
	case sig == syscall.SIGQUIT:
		s.end(shutdownRequest{how: quickly}, 128+int(syscall.SIGQUIT))
	case sig == syscall.SIGHUP && s.reread != nil && s.reread():
		s.log(logfile.Info, "hangup: read the certificates again; the application stays, because reloading it requires a supervisor: start the server with --workers 1 or --reload")
	default:
		s.log(logfile.Info, sig.String()+": not reloading, because this requires a supervisor: start the server with --workers 1 or --reload")
	}
}

// askReplace is for a worker that is told to end, unless its supervisor, which
// may have been told as well, was quicker.
func (s *signals) askReplace() {
	s.mu.Lock()
	serving, stopped := s.serving, s.stopped
	s.mu.Unlock()
	switch {
	case !serving:
		s.exit(128 + int(syscall.SIGTERM))
	case !stopped:
		s.replace("received SIGTERM")
	}
}

// end passes a request on, or ends the process with code when nothing is served
// yet.
func (s *signals) end(o shutdownRequest, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.serving:
		s.exit(code)
	case s.stopped && o.how == gracefully && s.replace == nil:
		if time.Since(s.told) < pool.Echo {
			return
		}
		s.log(logfile.Warning, "received a second stop signal; exiting immediately")
		s.exit(process.Failed)
	default:
		if !s.stopped {
			s.told = time.Now()
		}
		s.stopped = true
		select {
		case s.orders <- o:
		default: // it has been told often enough
		}
	}
}
