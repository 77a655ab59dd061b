package worker

import (
	"context"
	"encoding/json"
	"errors"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/runtime/backend"
	"fapws/runtime/metrics"
)

// Queries of a worker to its supervisor, see pool.Options.Query. The answers are JSON.
const (
	QueryOverview = "overview" // ctl.Overview
	QueryMetrics  = "metrics"  // []metrics.Family
	QueryLog      = "log"      // []ctl.Line
	QueryStack    = "stack"    // string
	QueryReload   = "reload"   // string: why it failed, or ""
	QueryProfile  = "profile"  // Profile
)

// Questions of the supervisor.
const (
	AskLog     = "log"     // []ctl.Line in JSON
	AskProfile = "profile" // Profile in JSON
)

// Profile is what Python does for ctl.ProfileTime. Why says why there are no stacks.
type Profile struct {
	Stacks []ctl.StatusStack `json:"stacks"`
	Why    string            `json:"why,omitempty"`
}

// profileWithin is the time for the profile of a process, with the waits for the GIL.
const profileWithin = ctl.ProfileTime + stackWait

// profile records a profile of this process.
func (s *service) profile() (p Profile) {
	h := s.python()
	if s.asleep() {
		return Profile{Why: "the application is asleep"}
	}
	if !s.complete.Load() {
		return Profile{Why: "the applications are still loading"}
	}
	if s.loader.Load() != nil {
		return Profile{Why: "the processes of --fork are not profiled"}
	}
	if h == nil {
		return Profile{Why: "this server runs no Python"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), profileWithin)
	defer cancel()
	stacks, err := h.Profile(ctx, ctl.ProfileTime)
	if err != nil {
		return Profile{Why: err.Error()}
	}
	for _, stack := range stacks {
		p.Stacks = append(p.Stacks, ctl.StatusStack(stack))
	}
	return p
}

// Result returns the stacks, or Why as an error.
func (p Profile) Result() ([]ctl.StatusStack, error) {
	if p.Why != "" {
		return nil, errors.New(p.Why)
	}
	return p.Stacks, nil
}

// statusPage returns what answers below the path of the setting status, or nil.
func (s *service) statusPage() backend.Responder {
	if s.conf.Status == "" {
		return nil
	}
	s.log.Keep(&s.tail)
	return ctl.NewPage(s.host.status(), s.log.LogClient)
}

// LinesOf returns the last lines of a log for the status page.
func LinesOf(t *plan.Tail) []ctl.Line {
	lines := []ctl.Line{}
	for _, line := range t.Lines() {
		lines = append(lines, ctl.Line{At: line.At.UnixNano(), Text: line.Text})
	}
	return lines
}

// single is the source of the page of a process without a supervisor.
type single struct{ a *alone }

func (a *alone) status() ctl.StatusSource { return single{a} }

func (s single) Overview(context.Context) (*ctl.Overview, error) { return ctl.Look(s.a), nil }

func (s single) Metrics(context.Context) ([]metrics.Family, error) { return s.a.Metrics(), nil }

func (s single) Log(context.Context) ([]ctl.Line, error) { return LinesOf(&s.a.s.tail), nil }
func (s single) Stack(context.Context) (string, error)   { return s.a.Stack(), nil }
func (s single) Reload(context.Context) error            { return s.a.Reload() }
func (s single) Reloads() bool                           { return false }

func (s single) Profile(context.Context) ([]ctl.StatusStack, error) { return s.a.s.profile().Result() }

// supervised is the source of the page of a worker: its supervisor.
type supervised struct{ p *Parent }

func (p *Parent) status() ctl.StatusSource { return supervised{p} }

// ask asks the supervisor.
func (s supervised) ask(ctx context.Context, what string, into any) error {
	text, err := s.p.query(ctx, what)
	if err != nil {
		return err
	}
	if json.Unmarshal([]byte(text), into) != nil {
		return errors.New("the supervisor does not know the status page: stop the server and start the new version")
	}
	return nil
}

func (s supervised) Overview(ctx context.Context) (*ctl.Overview, error) {
	o := new(ctl.Overview)
	return o, s.ask(ctx, QueryOverview, o)
}

func (s supervised) Metrics(ctx context.Context) (all []metrics.Family, err error) {
	return all, s.ask(ctx, QueryMetrics, &all)
}

func (s supervised) Log(ctx context.Context) (lines []ctl.Line, err error) {
	return lines, s.ask(ctx, QueryLog, &lines)
}

func (s supervised) Stack(ctx context.Context) (text string, err error) {
	return text, s.ask(ctx, QueryStack, &text)
}

func (s supervised) Reload(ctx context.Context) error {
	why := ""
	if err := s.ask(ctx, QueryReload, &why); err != nil {
		return err
	}
	if why != "" {
		return errors.New(why)
	}
	return nil
}

func (s supervised) Reloads() bool { return true }

func (s supervised) Profile(ctx context.Context) ([]ctl.StatusStack, error) {
	var p Profile
	if err := s.ask(ctx, QueryProfile, &p); err != nil {
		return nil, err
	}
	return p.Result()
}
