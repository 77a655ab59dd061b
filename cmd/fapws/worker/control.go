package worker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/ctl"
)

// stackWait is the maximum time for reading the Python stacks of the active requests.
const stackWait = 2 * time.Second

// Report implements ctl.Server, as do the methods below.
func (a *alone) Report() ctl.Report {
	conf, addrs, since, state := a.seen()
	r := ReportPresence(a.s.plan, &conf, addrs, since)
	r.Cache = cacheOf(a.s.server)
	counters := a.s.counters()
	if counters.Asleep {
		state = ctl.Asleep
	}
	r.Workers = []ctl.Worker{{PID: r.PID, State: state, Age: r.Uptime, RSS: confine.ResidentMemory(r.PID), Counters: counters}}
	return r
}

// counters returns the counters of this process for a report.
func (s *service) counters() ctl.Counters {
	c, ok := s.server.Counters()
	if !ok {
		return ctl.NotCounted
	}
	return ctl.Counters{Requests: c.Requests, Unsent: c.Unsent, Cut: c.Cut, Asleep: s.sleeps()}
}

// sleeps reports whether the application has ended because nothing needed it. It is safe for concurrent use.
func (s *service) sleeps() bool {
	if loader := s.loader.Load(); loader != nil {
		return loader.Asleep()
	}
	return s.asleep()
}

func (a *alone) Stack() string { return a.s.stack() }

func (a *alone) Reload() error {
	return errors.New("reloading requires a supervisor: start the server with --workers 1 or --reload")
}

func (a *alone) Rotate() error {
	err := a.s.errors.RotateAll(&a.s.conf, a.s.plan.Site.LogFiles(), a.s.log)
	a.s.logs.Reopen()
	return err
}

func (a *alone) Stop() { a.s.signals.finish() }

// stack shows the Python stacks of the active requests, or the processes that answer them.
func (s *service) stack() string {
	var b strings.Builder
	switch loader := s.loader.Load(); {
	case loader != nil:
		running := loader.Running()
		fmt.Fprintf(&b, "%d requests run in separate processes\n", len(running))
		for _, line := range running {
			fmt.Fprintln(&b, line)
		}
	case s.asleep():
		return "the application is asleep\n"
	case !s.complete.Load():
		return "the application is loading\n"
	case s.handler != nil:
		_ = s.handler.Stack(&b, stackWait) // the text names the missing parts
	default:
		return "this server runs no Python\n"
	}
	return b.String()
}
