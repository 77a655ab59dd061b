package worker

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
	"fapws/runtime/conn"
	"fapws/runtime/http1conn"
	"fapws/runtime/logfile"
)

// again makes a process without a supervisor execute itself again, to reload the application, and to recover when a
// handler holds the GIL. The listening sockets stay open, so that new clients wait in the queues of the kernel. Idle
// connections move to the new program.
type again struct {
	s         *service
	checking  sync.Mutex // held while a child loads the application
	begun     atomic.Bool
	listeners []*conn.Listener // set before clients are served

	mu       sync.Mutex
	next     *Left // what the next program gets; nil until take, and after cancel
	canceled bool
}

// replacedKind is the kind of a process without a supervisor for process.Replace.
const replacedKind = "alone"

// Left is what a process without a supervisor leaves to the program that replaces it.
type Left struct {
	Sockets  map[string][]int // descriptors of the listening sockets, by address
	Clients  []leftClient
	Waiting  []int            // clients of the control socket that wait for the end of the reload
	Since    time.Time        // when the previous program stopped accepting connections
	Ignored  []syscall.Signal // signals that the process ignored when it was started
	Terminal bool             // the process was started at a terminal
	Healed   time.Time        // when the process last executed itself because of a handler; zero if never
	Pause    time.Duration    // minimum time between Healed and the next time
}

type leftClient struct {
	State http1conn.ClientState
	FD    int
}

// TakeLeft returns what the previous program of this process has left, or nil if there was none.
func TakeLeft() (*Left, error) {
	l := &Left{}
	if found, err := process.Left(replacedKind, l); err != nil || !found {
		return nil, err
	}
	l.eachDescriptor(unix.CloseOnExec)
	return l, nil
}

func (l *Left) eachDescriptor(f func(fd int)) {
	for _, list := range l.Sockets {
		for _, fd := range list {
			f(fd)
		}
	}
	for _, fd := range l.Waiting {
		f(fd)
	}
	for _, c := range l.Clients {
		f(c.FD)
	}
}

// Listening returns the sockets for conn.ListenOptions.Left; l may be nil.
func (l *Left) Listening() map[string][]int {
	if l == nil {
		return nil
	}
	return l.Sockets
}

// Close closes the sockets that no listener has taken, because the settings no longer contain their addresses, and the
// connections that no server has taken over; l may be nil.
func (l *Left) Close() {
	if l == nil {
		return
	}
	for addr, list := range l.Sockets {
		for _, fd := range list {
			unix.Close(fd)
			_ = conn.RemoveSocketFile(addr) // on an error, the next start replaces the file
		}
	}
	for _, c := range l.Clients {
		unix.Close(c.FD)
	}
	l.Sockets, l.Clients = nil, nil
}

// arrive serves the idle connections of the previous program.
func (l *Left) arrive(s *service) {
	if l == nil {
		return
	}
	for _, c := range l.Clients {
		s.server.Arrive(&c.State, c.FD)
	}
	l.Clients = nil
}

// Complete reports that the new program serves all addresses.
func (l *Left) Complete(log func(logfile.Level, string)) {
	l.Close()
	ctl.AnswerLeft(l.Waiting)
	log(logfile.Info, fmt.Sprintf("reloaded: new clients waited for %v",
		time.Since(l.Since).Round(time.Millisecond)))
}

// reload has a child load the application and, if this succeeds, begins the replacement of this program. reload is safe
// for concurrent use. The error has one line.
func (g *again) reload(reason string) error {
	s := g.s
	<-s.signals.served
	g.checking.Lock()
	defer g.checking.Unlock()
	if g.begun.Load() { // the new program is going to load the code as it is now
		return nil
	}
	notifier := s.instance.Notifier
	s.log.Log(logfile.Info, "reloading: "+reason)
	s.instance.LogNotifyError(notifier.Reloading())
	if err := g.check(); err != nil {
		s.log.Log(logfile.Error, "reload failed; the old code keeps serving")
		s.instance.LogNotifyError(notifier.Ready(""))
		return fmt.Errorf("%w; the old code keeps serving", err)
	}
	g.begun.Store(true)
	s.signals.orders <- shutdownRequest{how: replacing}
	return nil
}

// discourage makes each response close its connection, while the process continues to accept connections, so that new
// clients do not wait for old requests. discourage returns o when the old requests have ended and no connection uses
// TLS, because a connection with TLS cannot move to another program. It waits for a few seconds at most. If a shutdown
// request arrives meanwhile, discourage returns that request.
func (g *again) discourage(o shutdownRequest) shutdownRequest {
	s := g.s
	began := time.Now()
	s.server.Discourage()
	for time.Since(began) < min(retiredIdle, s.graceOf(o)/2) && (s.server.Encrypted() > 0 || g.hasOlder(began)) {
		select {
		case o := <-s.signals.orders:
			return o
		case <-time.After(discourageEvery):
		}
	}
	return o
}

func (g *again) hasOlder(began time.Time) bool {
	h := g.s.python.running()
	return h != nil && h.HasOlder(time.Since(began))
}

const discourageEvery = 50 * time.Millisecond

// headWait is how long a connection may stay without a request after the process has stopped accepting connections.
const headWait = time.Second

// take takes copies of the listening sockets, and decides that this process will be replaced. hand must follow.
func (g *again) take() {
	s := g.s
	next := &Left{Sockets: map[string][]int{}, Since: time.Now(), Ignored: s.signals.ignored, Terminal: s.signals.terminal}
	if left := s.instance.Left; left != nil {
		next.Healed, next.Pause = left.Healed, left.Pause
	}
	for _, ln := range g.listeners {
		if addr, fd, err := ln.Leave(); err == nil {
			next.Sockets[addr] = append(next.Sockets[addr], fd)
		} else {
			s.warn(fmt.Sprintf("%s: new clients are refused until the application is loaded: %v", ln.Addr(), err))
		}
	}
	g.change(func() { g.next = next })
}

// hand stops accepting connections, and takes the idle connections out of this process.
func (g *again) hand() {
	g.s.server.StopAccepting()
	if _, err := g.s.server.HandIdle(g.keep); err != nil {
		g.s.warn(fmt.Sprintf("cannot keep idle connections: %v; closed them", err))
	}
}

// keep adds a copy of a connection to what the next program gets.
func (g *again) keep(d *http1conn.ClientState, fd int) (err error) {
	kept := g.change(func() {
		if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			g.next.Clients = append(g.next.Clients, leftClient{*d, fd})
		}
	})
	if !kept {
		return errStops
	}
	return err
}

var errStops = errors.New("the server stops")

// change calls f, which may change g.next. After cancel, change only returns false.
func (g *again) change(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.canceled {
		return false
	}
	f()
	return true
}

// cancel makes the process end instead of being replaced; g may be nil.
func (g *again) cancel() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next.Close()
	g.next, g.canceled = nil, true
}

// isNext reports whether the process is going to be replaced; g may be nil.
func (g *again) isNext() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.next != nil
}

// execute replaces this program, and returns only if this fails.
func (g *again) execute() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		return errors.New("a signal has requested a stop")
	}
	if err := os.Chdir(g.s.plan.Dir); err != nil {
		return err
	}
	pybridge.BeforeExec()
	return process.Replace(replacedKind, process.Environment(), func() any {
		g.next.eachDescriptor(func(fd int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0) })
		return g.next
	})
}

func (s *service) withdraw() {
	if !s.again.isNext() {
		s.instance.Withdraw()
		return
	}
	waiting := s.instance.Leave()
	s.again.change(func() { s.again.next.Waiting = waiting })
}

// depart ends the process or, unless a signal has requested a stop meanwhile, replaces its program.
func (s *service) depart(code int) {
	if s.signals.isTold() {
		s.again.cancel()
	}
	if !s.again.isNext() {
		s.instance.Withdraw()
		os.Exit(code)
	}
	err := s.again.execute()
	s.log.Log(logfile.Error, fmt.Sprintf("cannot execute %s again: %v", process.File(), err))
	s.instance.Withdraw()
	os.Exit(process.Failed)
}
