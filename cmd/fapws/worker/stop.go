package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
	"fapws/runtime/source/programs"
)

// signals converts signals to shutdown requests. While the application loads, TERM, INT and QUIT stop the process at
// once. After loading, the first TERM or INT requests a graceful stop, and QUIT requests a quick stop. A second TERM or
// INT ends the process at once, unless it is an echo of the first signal (pool.Echo).
//
// A worker ignores INT and QUIT, because its supervisor handles them. TERM to a worker ends only that worker, after a
// new worker has replaced it.
//
// If a script handles a signal with signal.signal, signals no longer receives that signal.
type signals struct {
	caught chan os.Signal
	log    func(logfile.Level, string)
	exit   func(code int)
	reopen func()

	// reload reloads the application, on a separate goroutine; nil in a worker and in a process that only performs a
	// check.
	reload func(reason string)
	left   *Left // what the previous program of this process has left; nil if there was none

	// replace asks the supervisor to replace this worker; nil without a supervisor.
	replace func(reason string)

	// the signal HUP means that the terminal that started the server was closed
	terminal bool

	// The process only performs a check. Until it serves, signals end it as they end python3.
	checks bool

	registered chan struct{}
	ignored    []syscall.Signal
	served     chan struct{} // closed when the process serves

	mu       sync.Mutex
	starting bool // the application starts, and stopStartup waits for a shutdown request
	serving  bool
	told     time.Time // time of the first request to stop; zero if none
	orders   chan shutdownRequest
}

// begun waits until signals are watched. begun must be called before Python starts.
func (s *signals) begun() { <-s.registered }

// watch handles signals while the process starts.
func (s *signals) watch() {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1,
		syscall.SIGUSR2} {
		ignored := signal.Ignored(sig) // nohup, or a shell that starts a background job, makes a process ignore some signals
		if s.left != nil {             // the replacement of the program has also made this process ignore some signals
			ignored = slices.Contains(s.left.Ignored, sig.(syscall.Signal))
		}
		if ignored {
			s.ignored = append(s.ignored, sig.(syscall.Signal))
		} else {
			signal.Notify(s.caught, sig)
		}
	}
	// TTIN and TTOU control a supervisor. The default action of both signals would suspend this process, for example if
	// a shell sent one of these signals to all processes of a job.
	signal.Ignore(syscall.SIGTTIN, syscall.SIGTTOU)
	close(s.registered)
	for _, sig := range process.SignalsArrived() {
		s.handle(sig)
	}
	for sig := range s.caught {
		s.handle(sig)
	}
}

// serve may be called again, when the application of a worker that already serves has loaded.
func (s *signals) serve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.serving {
		s.serving = true
		close(s.served)
	}
}

// isTold reports whether the process was requested to stop.
func (s *signals) isTold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.told.IsZero()
}

// start records that the application starts, so that a stop must cancel it. start returns false if requests are already
// served, because obeyOrders then handles a stop.
func (s *signals) start() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting = !s.serving
	return s.starting
}

func (s *signals) finish() {
	s.mu.Lock()
	told := s.told
	s.mu.Unlock()
	if told.IsZero() {
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
	case sig == syscall.SIGHUP && s.terminal:
		s.finish()
	case s.reload != nil && !s.isTold(): // HUP or USR2
		s.reload(strings.TrimPrefix(unix.SignalName(sig.(syscall.Signal)), "SIG"))
	}
}

// askReplace handles TERM in a worker. If the signal was sent to the whole process group, the supervisor stops this
// worker within pool.Echo. Otherwise askReplace asks the supervisor to replace this worker.
func (s *signals) askReplace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.serving {
		s.exit(128 + int(syscall.SIGTERM))
		return
	}
	time.AfterFunc(pool.Echo, func() {
		s.mu.Lock()
		told := s.told
		s.mu.Unlock()
		if told.IsZero() {
			s.replace("received SIGTERM")
		}
	})
}

const stoppedLoading = "stopping immediately: the application has not loaded yet"

// end forwards a request to stop if the process serves, and otherwise ends the process. code is the exit code of a
// process that only performs a check.
func (s *signals) end(o shutdownRequest, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unserved := !s.serving && (!s.starting || o.how == quickly)
	switch {
	case unserved && s.checks:
		s.exit(code)
	case unserved:
		s.log(logfile.Info, stoppedLoading)
		s.exit(process.OK)
	case !s.told.IsZero() && o.how == gracefully && s.replace == nil:
		if time.Since(s.told) < pool.Echo {
			return
		}
		s.log(logfile.Warning, "received a second stop signal; exiting immediately")
		s.exit(process.Failed)
	default:
		if s.told.IsZero() {
			s.told = time.Now()
		}
		select {
		case s.orders <- o:
		default:
		}
	}
}

// scriptGrace replaces the graceful timeout if the script's own signal handler has called sys.exit, because Python then
// no longer serves requests.
const scriptGrace = time.Second

// After the graceful timeout, the event loop gets the time cutTime to close the connections. cutTime is shorter than
// the time for which Shutdown waits for a blocked event loop.
const cutTime = 500 * time.Millisecond

// retiredIdle is how long a retiring worker keeps an idle connection open for the client's next request, but at most
// for half of the graceful timeout: silent clients do not count as active requests.
const retiredIdle = 5 * time.Second

type shutdownMode uint8

const (
	gracefully shutdownMode = iota
	// Active requests end as with the mode gracefully. Clients notice nothing, because other workers accept new
	// connections.
	quietly
	quickly
	// The process then executes itself again, with its sockets and its idle connections.
	replacing
)

// lastNotices limits how long the process waits for on_leave when all subscribers have left. lastEvents limits how long
// the process waits until the supervisor has numbered published events. stderrWithin limits the wait for the standard
// error of programs, which is read for a shorter time after their end.
const (
	lastNotices  = time.Second
	lastEvents   = time.Second
	stderrWithin = time.Second
)

type shutdownRequest struct {
	how   shutdownMode
	grace time.Duration // 0 means the graceful timeout
	code  int
	// the supervisor if new workers have replaced this process; otherwise nil
	parent *Parent
}

// obeyOrders waits for a signal or a message from the supervisor and then stops serving. The returned channel then
// receives the exit code. If the application is asleep or still loading, obeyOrders ends the process instead.
func (s *service) obeyOrders() <-chan int {
	ended := make(chan int, 1)
	go func() {
		o := s.delayed(<-s.signals.orders)
		s.stop(o)
		ended <- o.code
	}()
	return ended
}

// serve waits until obeyOrders or the script has stopped the service, and returns the exit code. When serve returns,
// all active requests have ended.
func (s *service) serve(ended <-chan int) (code int) {
	if s.python.app == nil {
		return <-ended
	}
	if code := s.python.app.Serve(); code >= 0 {
		s.stop(shutdownRequest{grace: min(scriptGrace, s.conf.GracefulTimeout), code: code})
		return code
	}
	return <-ended
}

// delayed continues to serve for the time in --shutdown-delay, so that clients and load balancers notice that this
// server will stop. If a new shutdown request arrives during this time, delayed returns that request; otherwise it
// returns o.
func (s *service) delayed(o shutdownRequest) shutdownRequest {
	delay := s.conf.ShutdownDelay
	if o.how == replacing {
		return s.again.discourage(o)
	}
	if o.how != gracefully || delay == 0 {
		return o
	}
	s.stops.Store(true)
	s.server.Discourage()
	s.log.Log(s.level, fmt.Sprintf("stopping in %v; serving until then (signal again to exit now)", delay))
	select {
	case o = <-s.signals.orders:
	case <-time.After(delay):
	}
	return o
}

// stop finishes active requests and ends the Python threads. If a handler does not return, stop runs the script's
// atexit functions and ends the process instead of returning.
func (s *service) stop(o shutdownRequest) {
	grace := s.graceOf(o)
	s.sayStopping(o.how, grace)
	if o.how == quietly {
		s.server.StopAccepting()
		go func() { // on a separate goroutine, because an inline handler may block the event loop
			o.parent.handIdleOver()
			o.parent.tell(&pool.Message{Kind: pool.Closed})
		}()
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	s.deadline, _ = ctx.Deadline()
	quiet := make(chan struct{})
	go func() {
		defer close(quiet)
		err := s.endConnections(ctx, o)
		if errors.Is(err, context.DeadlineExceeded) && o.how != quickly {
			s.log.Log(logfile.Warning, fmt.Sprintf("graceful timeout of %v expired; closed the remaining connections", grace))
		}
	}()
	stuck := time.NewTimer(grace + cutTime)
	for waiting := true; waiting; {
		select {
		case <-quiet:
			waiting = false
		case another := <-s.signals.orders:
			if o.how == quietly {
				o.parent.depart()
			}
			s.again.cancel()
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
	s.relay.over.Store(true)
	go s.spans.Close(s.deadline) // runs while Python ends; the method finish waits until Close has returned
	s.sayLastWords()
	if o.how != quickly {
		programs.Settle(stderrWithin)
	}
	if h := s.python.running(); h != nil {
		h.Notified(lastNotices)
	}
	s.relay.up.Wait(lastEvents)
	if s.python.asleep() {
		s.endAsleep(o.code)
	}
	app := s.python.app
	if app == nil {
		return
	}
	if !app.Shutdown(time.Until(s.deadline)) || app.Stop(time.Until(s.deadline)) > 0 {
		s.leave(o.code)
	}
}

// stopStartup cancels the startup of the applications if a shutdown request arrives before the channel ended is closed.
// In this case, applications that have already started are shut down, and the channel stopped receives true.
func (s *service) stopStartup(ended <-chan struct{}) (stopped <-chan bool) {
	was := make(chan bool, 1)
	if !s.signals.start() {
		close(was)
		return was
	}
	go func() {
		var o shutdownRequest
		select {
		case o = <-s.signals.orders:
		case <-ended:
			was <- false
			return
		}
		grace := s.graceOf(o)
		s.sayStopping(o.how, grace)
		s.giveUp()
		if !s.python.app.Shutdown(grace) {
			s.leave(o.code)
		}
		<-ended
		was <- true
	}()
	return was
}

// startup is the start of everything that an application needs before it can handle requests, such as its ASGI
// lifespan.
type startup struct {
	ended    chan struct{} // closed when the startup has ended
	canceled atomic.Bool
}

// endAsleep ends a process whose application is asleep or is being woken. If the application is being woken, endAsleep
// cancels its startup and shuts down the parts that have started.
func (s *service) endAsleep(code int) {
	if u := s.startup.Load(); u != nil {
		u.canceled.Store(true)
		app := s.python.app
		if !app.Shutdown(time.Until(s.deadline)) {
			s.leave(code)
		}
		<-u.ended
		app.RunAtexit()
	}
	s.spans.Close(s.deadline)
	s.exit(code)
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

// endConnections waits until all connections are closed or handed over, or returns the error of ctx if ctx ends first.
func (s *service) endConnections(ctx context.Context, o shutdownRequest) error {
	switch o.how {
	case quietly:
	case replacing:
		s.again.take()
		s.again.hand()
		return s.server.Retire(ctx, headWait)
	default:
		return s.server.Shutdown(ctx)
	}
	select {
	case <-o.parent.departs:
	case <-ctx.Done():
	}
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		o.parent.handClientsOver(ctx)
	}()
	idle := min(retiredIdle, s.graceOf(o)/2)
	if s.conf.Dev { // the next request is for the new code
		idle = 0
	}
	err := s.server.Retire(ctx, idle)
	// Wait for handClientsOver, too: all connections may be gone before the successor has received the final message.
	select {
	case <-handed:
	case <-ctx.Done():
	}
	return err
}

func (s *service) sayStopping(mode shutdownMode, grace time.Duration) {
	text := fmt.Sprintf(s.stopping, grace)
	switch mode {
	case replacing:
		return
	case quickly:
		text = "stopping immediately"
	}
	s.log.Log(s.level, text)
	s.instance.LogNotifyError(s.instance.Notifier.Stopping())
}

// leave ends the process even though a handler has not returned.
func (s *service) leave(code int) {
	cause := "a handler did not return"
	if !s.python.is(appRunning) {
		cause = "the startup of the application did not end"
	} else if h := s.python.running(); h != nil {
		cause = cmp.Or(h.Unfinished(stackWait), cause)
	}
	s.log.Log(logfile.Warning, cause+"; exiting without it")
	s.sayLastWords()
	process.ExitAfterClosingTime(s.deadline, func() { s.depart(code) }, s.warn)
	s.withdraw()
	if app := s.python.app; app != nil && !s.python.asleep() {
		app.RunAtexit()
	}
	s.logs.Close()
	s.depart(code)
}
