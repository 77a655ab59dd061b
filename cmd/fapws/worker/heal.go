package worker

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
)

const (
	healPause = time.Minute
	mostPause = time.Hour
)

// heal implements pybridge.RunConfig.Stuck. It replaces the program only if no other handler can run: otherwise, active
// requests would be lost for one handler that occupies a thread.
func (g *again) heal(reason string, hung bool) {
	s := g.s
	if !hung {
		return
	}
	_, free := s.python.handler.Active(activeWait)
	pause, rest := s.instance.Left.pause()
	if rest > 0 {
		s.log.Log(logfile.Error, fmt.Sprintf("executing fapws again in %v, because it was executed again less than %v ago",
			rest.Round(time.Second), s.instance.Left.Pause))
	}
	for until := time.Now().Add(rest); time.Now().Before(until) || isTraced(); {
		time.Sleep(lookEvery)
		if _, released := s.python.handler.Active(activeWait); released && !free {
			return
		}
	}
	if s.signals.isTold() || !g.begun.CompareAndSwap(false, true) {
		return
	}
	s.log.Log(logfile.Error, "executing fapws again, because "+reason)
	g.take()
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		g.hand()
		if _, err := s.server.HandWaiting(s.python.handler.Waiting(), g.keep); err != nil {
			s.warn(fmt.Sprintf("cannot keep all connections that wait for a handler: %v", err))
		}
	}()
	select {
	case <-handed:
	case <-time.After(handWithin): // an inline handler blocks the event loop
	}
	if !g.change(func() { g.next.Healed, g.next.Pause = time.Now(), pause }) || s.signals.isTold() {
		g.cancel()
		return
	}
	s.withdraw()
	s.logs.Close()
	s.depart(process.Failed)
}

const (
	handWithin = time.Second
	lookEvery  = time.Second
)

// pause returns how long the next program must wait before it executes fapws again, and how long this program must
// still wait; l may be nil.
func (l *Left) pause() (next, rest time.Duration) {
	if l == nil || l.Healed.IsZero() || time.Since(l.Healed) > mostPause {
		return healPause, 0
	}
	return min(2*l.Pause, mostPause), l.Pause - time.Since(l.Healed)
}

// isTraced reports whether a debugger controls this process.
func isTraced() bool {
	text, _ := os.ReadFile("/proc/self/status")
	return len(text) > 0 && !bytes.Contains(text, []byte("\nTracerPid:\t0\n"))
}
