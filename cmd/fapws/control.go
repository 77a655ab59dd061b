package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"fapws/cmd/fapws/banner"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/memory"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/tomlfile"
	"fapws/cmd/fapws/version"
)

// speak is "fapws ctl".
func speak(args []string, stdout io.Writer) error {
	err := ctl.Run(args, stdout, tomlfile.Nearest)
	var wrong *ctl.UsageError
	if errors.As(err, &wrong) {
		return exit.Usage(err)
	}
	return err
}

// stackWait is how long the requests in flight may take to say where they are.
const stackWait = 2 * time.Second

// alone is the control socket's view of a process without a supervisor.
type alone struct {
	s     *service
	addrs []net.Addr
	since time.Time
}

func (a *alone) Report() ctl.Report {
	r := reportOf(a.s.plan, &a.s.conf, a.addrs, a.since)
	r.Cache = cacheOf(a.s.server)
	r.Workers = []ctl.Worker{{
		PID: r.PID, State: "serving", Age: r.Uptime, RSS: memory.Resident(r.PID), Requests: a.s.server.Served(),
	}}
	return r
}

// reportOf is what a Report says of the server as a whole.
func reportOf(p *plan.Plan, conf *settings.Config, addrs []net.Addr, since time.Time) ctl.Report {
	r := ctl.Report{
		PID:     os.Getpid(),
		App:     p.Label(conf),
		Version: version.Version,
		Python:  p.Python(),
		Mode:    banner.Mode(conf),
		Uptime:  time.Since(since).Seconds(),
	}
	for _, addr := range addrs {
		r.Addresses = append(r.Addresses, banner.URL(addr))
	}
	return r
}

func (a *alone) Stack() string { return a.s.stack() }

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

func (a *alone) Reload() error {
	return errors.New("this server has no supervisor, which reloading takes: start it with --workers 1 or --reload")
}

func (a *alone) Rotate() error {
	err := a.s.errors.RotateAll(&a.s.conf, a.s.plan.Site.LogFiles(), a.s.log)
	a.s.logs.Reopen()
	return err
}

func (a *alone) Stop() { a.s.signals.finish() }

// What a supervisor asks its workers.
const (
	askStack  = "stack"
	askServed = "served"
)

// answerQuestions lets a worker say what its supervisor asks.
func (s *service) answerQuestions() {
	s.parent.onAsk(askStack, s.stack)
	s.parent.onAskAbout(askPurge, func(text string) string { return strconv.Itoa(purged(s.server, text)) })
	s.parent.onAsk(askCache, func() string { text, _ := json.Marshal(cacheOf(s.server)); return string(text) })
	s.parent.onAsk(askServed, func() string { return strconv.FormatInt(s.server.Served(), 10) })
}

// answerWithin is how long a supervisor waits for what its workers say.
const answerWithin = stackWait + time.Second

// together is the control socket's view of a supervisor with its workers.
type together struct{ v *overseer }

func (t together) Report() ctl.Report {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	st := t.v.sup.Status()
	served := map[int]int64{}
	for _, reply := range t.v.sup.Ask(ctx, askServed) {
		if n, err := strconv.ParseInt(reply.Text, 10, 64); err == nil {
			served[reply.Pid] = n
		}
	}
	conf, addrs := t.v.seen()
	r := reportOf(t.v.plan, &conf, addrs, st.Since)
	r.Failure = st.Failure
	r.Cache = t.caches(ctx)
	for _, w := range st.Workers {
		requests, said := served[w.Pid]
		if !said {
			requests = -1
		}
		r.Workers = append(r.Workers, ctl.Worker{PID: w.Pid, State: w.State.String(), Age: time.Since(w.Since).Seconds(), RSS: w.RSS, Requests: requests})
	}
	return r
}

func (t together) Stack() string {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	replies := t.v.sup.Ask(ctx, askStack)
	var b strings.Builder
	for _, reply := range replies {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "worker %d\n%s", reply.Pid, reply.Text)
	}
	for _, w := range t.v.sup.Status().Workers {
		if w.State >= pool.Ready && !slices.ContainsFunc(replies, func(r pool.Reply) bool { return r.Pid == w.Pid }) {
			fmt.Fprintf(&b, "\nworker %d (%s) does not answer\n", w.Pid, w.State)
		}
	}
	return b.String()
}

func (t together) Reload() error {
	if err := t.v.sup.ReloadAndWait("fapws ctl"); err != nil {
		return fmt.Errorf("reload failed: %w; the old workers keep serving", err)
	}
	return nil
}

func (t together) Rotate() error {
	conf, _ := t.v.seen()
	err := t.v.errors.RotateAll(&conf, t.v.plan.Site.LogFiles(), t.v.log)
	t.v.sup.Reopen()
	return err
}

func (t together) Stop() { t.v.sup.Stop() }
