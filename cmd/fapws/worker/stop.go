package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
	"fapws/runtime/source/programs"
)

// scriptGrace replaces the graceful timeout when a signal handler of the
// script called sys.exit: Python serves nothing any more.
const scriptGrace = time.Second

// cutTime is more than a loop takes to cut off connections, and less than
// Shutdown waits for one that does not answer.
const cutTime = 500 * time.Millisecond

// retiredIdle is how long a client that has been silent may still use a
// connection to a worker that retires.
const retiredIdle = 5 * time.Second

// shutdownMode is a way to end.
type shutdownMode uint8

const (
	gracefully shutdownMode = iota // active requests are finished, idle connections close
	quietly                        // the same, but no client notices: others accept in this process's place
	quickly                        // active requests are cut off
)

// lastNotices is how long on_leave may take when all subscribers have left, and lastEvents how long the supervisor
// may take to number published events. stderrWithin is more than the output of programs is read after their end.
const (
	lastNotices  = time.Second
	lastEvents   = time.Second
	stderrWithin = time.Second
)

// shutdownRequest says how to end.
type shutdownRequest struct {
	how    shutdownMode
	grace  time.Duration // 0: the graceful timeout
	code   int           // exit code
	parent *Parent       // for quietly: has workers that serve from now on
}

// obeyOrders ends serving when a signal or the supervisor says so. The channel gets the exit code then. A process that is asleep, or that
// has not loaded the application yet, ends at once.
func (s *service) obeyOrders() <-chan int {
	ended := make(chan int, 1)
	go func() {
		o := s.delayed(<-s.signals.orders)
		s.stop(o)
		if s.asleep() {
			s.exit(o.code)
		}
		ended <- o.code
	}()
	return ended
}

// serve returns when obeyOrders, to which ended belongs, or the script has ended serving, and all active requests, too. It returns the
// exit code.
func (s *service) serve(ended <-chan int) (code int) {
	if s.app == nil {
		return <-ended
	}
	if code := s.app.Serve(); code >= 0 {
		s.stop(shutdownRequest{grace: min(scriptGrace, s.conf.GracefulTimeout), code: code})
		return code
	}
	return <-ended
}

// delayed serves on for the time of --shutdown-delay, in which clients and load balancers learn that this server is about to stop. It
// returns o, or the next request if that comes before.
func (s *service) delayed(o shutdownRequest) shutdownRequest {
	delay := s.conf.ShutdownDelay
	if o.how != gracefully || delay == 0 {
		return o
	}
	s.stops.Store(true)
	s.server.Discourage()
	s.log.Log(s.host.level(), fmt.Sprintf("stopping in %v; serving until then (signal again to exit now)", delay))
	select {
	case o = <-s.signals.orders:
	case <-time.After(delay):
	}
	return o
}

// stop finishes active requests and ends the Python threads. A handler that does not return cannot be stopped from
// outside: then stop does not return either, but runs the atexit functions of the script and ends the process.
func (s *service) stop(o shutdownRequest) {
	grace := s.graceOf(o)
	s.sayStopping(o.how, grace)
	if o.how == quietly {
		s.server.StopAccepting()
		o.parent.closed()
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	departing := make(chan struct{})
	depart := sync.OnceFunc(func() { close(departing) })
	if o.how == quietly {
		go func() {
			defer depart()
			select {
			case <-o.parent.departs:
			case <-ctx.Done():
			}
		}()
	} else {
		depart()
	}
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		<-departing
		if o.how == quietly {
			o.parent.handClientsOver(ctx)
		}
	}()
	quiet := make(chan struct{})
	go func() {
		defer close(quiet)
		<-departing
		err := s.endConnections(ctx, o.how)
		if errors.Is(err, context.DeadlineExceeded) && o.how != quickly {
			s.log.Log(logfile.Warning, fmt.Sprintf("graceful timeout of %v expired; closed the remaining connections", grace))
		}
		select { // the last connection may have gone with a subscriber before the successor was told that this was all
		case <-handed:
		case <-ctx.Done():
		}
	}()
	stuck := time.NewTimer(grace + cutTime) // inline: a handler keeps the loop
	for waiting := true; waiting; {
		select {
		case <-quiet:
			waiting = false
		case another := <-s.signals.orders:
			depart()
			if another.how == quickly {
				cancel()
				stuck.Reset(cutTime)
			} else {
				go s.server.Shutdown(ctx)
			}
		case <-stuck.C:
			s.leave(o.code)
		}
	}
	s.over.Store(true)
	s.host.farewell()
	if o.how != quickly {
		programs.Settle(stderrWithin)
	}
	if h := s.python(); h != nil {
		h.Notified(lastNotices)
	}
	s.relay.flush(lastEvents)
	if s.asleep() || s.app == nil {
		return
	}
	deadline, _ := ctx.Deadline()
	if !s.app.Shutdown(time.Until(deadline)) || s.app.Stop() > 0 {
		s.leave(o.code)
	}
}

func (s *service) graceOf(o shutdownRequest) time.Duration {
	switch {
	case o.how == quickly:
		return 0
	case o.grace > 0:
		return o.grace
	}
	return s.conf.GracefulTimeout
}

func (s *service) endConnections(ctx context.Context, how shutdownMode) error {
	if how == quietly {
		return s.server.Retire(ctx, retiredIdle)
	}
	return s.server.Shutdown(ctx)
}

// sayStopping tells the user and the service manager.
func (s *service) sayStopping(how shutdownMode, grace time.Duration) {
	text := "stopping immediately"
	if how != quickly {
		text = s.host.stopping(grace)
	}
	s.log.Log(s.host.level(), text)
	s.front.LogNotifyError(s.front.Notifier.Stopping())
}

// leave ends the process around a handler that does not return.
func (s *service) leave(code int) {
	s.log.Log(logfile.Warning, "a handler did not return; exiting without it")
	s.host.farewell()
	process.ExitAfterClosingTime(code, func(line string) { s.log.Log(logfile.Warning, line) })
	s.front.Withdraw()
	if !s.asleep() && s.app != nil {
		s.app.RunAtexit()
	}
	s.logs.Close()
	os.Exit(code)
}
