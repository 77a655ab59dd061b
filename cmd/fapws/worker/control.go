package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/memory"
	"fapws/cmd/fapws/presence"
)

// stackWait is the maximum time for reading the Python stacks of the active requests.
const stackWait = 2 * time.Second

// singleControl is the control socket's view of a process without a supervisor.
type singleControl struct {
	s     *service
	addrs []net.Addr
	since time.Time
}

func (a *singleControl) Report() ctl.Report {
	r := presence.Report(a.s.plan, &a.s.conf, a.addrs, a.since)
	r.Cache = cacheOf(a.s.server)
	r.Workers = []ctl.Worker{{
		PID: r.PID, State: "serving", Age: r.Uptime, RSS: memory.Resident(r.PID), Requests: a.s.server.Served(),
	}}
	return r
}

func (a *singleControl) Stack() string { return a.s.stack() }

// stack shows the Python stacks of the active requests, or the processes that answer them.
func (s *service) stack() string {
	var b strings.Builder
	switch forks := s.forks.Load(); {
	case forks != nil:
		running := forks.Running()
		fmt.Fprintf(&b, "%d requests run in separate processes\n", len(running))
		for _, line := range running {
			fmt.Fprintln(&b, line)
		}
	case s.handler != nil:
		_ = s.handler.Stack(&b, stackWait) // what it could not see is in the text
	default:
		return "no Python runs here\n"
	}
	return b.String()
}

func (a *singleControl) Reload() error {
	return errors.New("this server has no supervisor, which reloading takes: start it with --workers 1 or --reload")
}

func (a *singleControl) Rotate() error {
	err := a.s.errors.RotateAll(&a.s.conf, a.s.plan.Site.LogFiles(), a.s.log)
	a.s.logs.Reopen()
	return err
}

func (a *singleControl) Stop() { a.s.signals.finish() }

// answerQuestions lets a worker say what its supervisor asks.
func (s *service) answerQuestions() {
	s.parent.onAsk(AskStack, s.stack)
	s.parent.onAskAbout(AskPurge, func(text string) string { return strconv.Itoa(purgeNow(s.server, text)) })
	s.parent.onAsk(AskCache, func() string { text, _ := json.Marshal(cacheOf(s.server)); return string(text) })
	s.parent.onAsk(AskServed, func() string { return strconv.FormatInt(s.server.Served(), 10) })
}
