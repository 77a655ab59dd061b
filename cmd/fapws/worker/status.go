package worker

import (
	"context"
	"encoding/json"
	"errors"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/logs"
	"fapws/cmd/fapws/statuspage"
	"fapws/runtime/backend"
	"fapws/runtime/metrics"
)

// Queries of a worker to its supervisor, see pool.Options.Query. The answers are JSON.
const (
	QueryOverview = "overview" // ctl.Overview
	QueryMetrics  = "metrics"  // []metrics.Family
	QueryLog      = "log"      // []statuspage.Line
	QueryStack    = "stack"    // string
	QueryReload   = "reload"   // string: why it failed, or ""
)

// AskLog is a question of the supervisor: []statuspage.Line in JSON.
const AskLog = "log"

// statusPage returns what answers below the path of the setting status, or nil.
func (s *service) statusPage() backend.Responder {
	if s.conf.Status == "" {
		return nil
	}
	s.log.Keep(&s.tail)
	return statuspage.New(s.host.status(), s.log.LogClient)
}

// LinesOf returns the last lines of a log for the status page.
func LinesOf(t *logs.Tail) []statuspage.Line {
	lines := []statuspage.Line{}
	for _, line := range t.Lines() {
		lines = append(lines, statuspage.Line{At: line.At.UnixNano(), Text: line.Text})
	}
	return lines
}

// single is the source of the page of a process without a supervisor.
type single struct{ a *alone }

func (a *alone) status() statuspage.Source { return single{a} }

func (s single) Overview(context.Context) (*ctl.Overview, error) { return ctl.Look(s.a), nil }

func (s single) Metrics(context.Context) ([]metrics.Family, error) { return s.a.Metrics(), nil }

func (s single) Log(context.Context) ([]statuspage.Line, error) { return LinesOf(&s.a.s.tail), nil }
func (s single) Stack(context.Context) (string, error)          { return s.a.Stack(), nil }
func (s single) Reload(context.Context) error                   { return s.a.Reload() }
func (s single) Reloads() bool                                  { return false }

// supervised is the source of the page of a worker: its supervisor.
type supervised struct{ p *Parent }

func (p *Parent) status() statuspage.Source { return supervised{p} }

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

func (s supervised) Log(ctx context.Context) (lines []statuspage.Line, err error) {
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
