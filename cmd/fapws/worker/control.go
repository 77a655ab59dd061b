package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/pybridge"
	"fapws/runtime/backend"
	"fapws/runtime/metrics"
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
	return ctl.NewPage(s.around.status(), s.log.LogClient)
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

// activeWait is how long the GIL is waited for to see where Python is.
const activeWait = 300 * time.Millisecond

// measure counts requests from now on. It must not be called on the loop.
func (s *service) measure() {
	s.measured.Lock()
	defer s.measured.Unlock()
	s.measures = true
	s.server.Measure()
	if h := s.python(); h != nil {
		h.Measure()
	}
}

// python returns the handler of the applications; nil: there are none, or they are still loading. It is safe for concurrent use.
func (s *service) python() *pybridge.Handler {
	if !s.complete.Load() {
		return nil
	}
	return s.handler
}

// metrics returns what this process has counted. The first call starts to count requests, unless the setting status did.
func (s *service) metrics() []metrics.Family {
	s.measure()
	all := s.server.Metrics()
	if h := s.python(); h != nil {
		all = append(all, h.Metrics()...)
	}
	if s.plan.Conf.IdleStop > 0 {
		awake := 1.
		if s.sleeps() {
			awake = 0
		}
		all = append(all, metrics.One("fapws_application_awake", metrics.Gauge, "", "Workers that have the application in memory, with idle-stop.", awake))
	}
	if u, some := s.upstreams(); some {
		all = append(all,
			metrics.One("fapws_upstream_requests", metrics.Gauge, "", "Requests at upstreams and programs: proxies, FastCGI, PHP, CGI, server-side includes.", float64(u.Active)),
			metrics.One("fapws_upstream_errors", metrics.Counter, "", "Requests that an upstream or a program has not answered, or not to the end.", float64(u.Failed)),
			metrics.One("fapws_upstream_connections_idle", metrics.Gauge, "", "Connections to upstreams that are kept for further requests.", float64(u.Idle)),
		)
	}
	if list := s.tls.Expiries(); len(list) > 0 {
		all = append(all, certificateEnds(list))
	}
	return append(all,
		LostLines(s.logs.Lost()+s.log.Lost()),
		Memory("worker"),
	)
}

// certificateEnds says when certificates end. Workers have the same, unless one has not got another one yet.
func certificateEnds(list []certificates.Expiry) metrics.Family {
	f := metrics.Family{Name: "fapws_tls_certificate_expiry_timestamp_seconds", Kind: metrics.Gauge, Unit: "seconds", Over: metrics.Min,
		Help: "When each certificate in use expires, in seconds since 1970, by the first name in it."}
	for _, e := range list {
		f.Series = append(f.Series, metrics.Series{Labels: metrics.Labels("name", e.Name), Value: float64(e.At.Unix())})
	}
	return f
}

// upstreams is plan.Built.Upstreams. It is safe for concurrent use.
func (s *service) upstreams() (u plan.Upstreams, some bool) {
	if !s.complete.Load() {
		return u, false
	}
	return s.built.Upstreams()
}

// LostLines returns the family of log lines that a process has lost.
func LostLines(n int64) metrics.Family {
	return metrics.One("fapws_log_lines_lost", metrics.Counter, "", "Lines that logs did not take: the disk was full or too slow, or standard error is closed.", float64(n))
}

// Memory returns the memory of this process that is its own, as a family with the label process.
func Memory(process string) metrics.Family {
	return metrics.Family{Name: "fapws_memory_anonymous_bytes", Kind: metrics.Gauge, Unit: "bytes",
		Help:   "Resident memory of processes that is their own (RssAnon), all workers together.",
		Series: []metrics.Series{{Labels: metrics.Labels("process", process), Value: float64(confine.AnonymousMemory(os.Getpid()))}}}
}

// active returns the active requests of handlers.
func (s *service) active() (list []ctl.Active) {
	if loader := s.loader.Load(); loader != nil {
		for _, line := range loader.Running() {
			list = append(list, ctl.Active{Worker: os.Getpid(), Request: line, State: "in a process of its own"})
		}
		return list
	}
	h := s.python()
	if h == nil {
		return nil
	}
	for _, r := range h.Active(activeWait) {
		list = append(list, ctl.Active{Worker: os.Getpid(), Request: r.Request, Handler: r.Handler, Age: r.Age.Seconds(), State: r.State, At: r.At})
	}
	return list
}

// Metrics and Active implement ctl.Server.
func (a *alone) Metrics() []metrics.Family {
	_, _, since, _ := a.seen()
	return append(a.s.metrics(), Started(since))
}

func (a *alone) Active() []ctl.Active { return a.s.active() }

// Started returns the family that says when the server started.
func Started(since time.Time) metrics.Family {
	return metrics.One("fapws_start_time_seconds", metrics.Gauge, "seconds", "When the server started, in seconds since 1970.", float64(since.UnixMilli())/1e3)
}

func (p *Parent) countsRequests() bool { return p.counts }

// sayLastWords tells the supervisor what lasts of this process.
func (p *Parent) sayLastWords() {
	s := p.s
	s.measured.Lock()
	counted := s.measures
	s.measured.Unlock()
	if !counted && s.conf.IdleStop == 0 { // a worker that sleeps must not lose counts that exist already
		return
	}
	if text, err := json.Marshal(metrics.Lasting(s.metrics())); err == nil {
		_ = p.channel.SendLastWords(string(text)) // listen sees the end of the channel
	}
}

// asJSON is the text of an answer to the supervisor.
func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%q", err)
	}
	return string(text)
}
