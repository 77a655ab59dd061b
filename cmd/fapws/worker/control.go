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
	"fapws/cmd/fapws/pool"
	"fapws/pybridge"
	"fapws/runtime/backend"
	"fapws/runtime/metrics"
	"fapws/runtime/source/cache"
)

const stackWait = 2 * time.Second

// command implements ctl.Server for a process without a supervisor. A worker uses it to answer its supervisor.
func (s *service) command(c ctl.Command, p cache.Pattern) (a ctl.Answer, err error) {
	switch c {
	case ctl.Status, ctl.CA:
		a.Status = s.report()
	case ctl.Top:
		a.Status, a.Families, a.Active = s.report(), s.metrics(), s.active()
	case ctl.Metrics:
		a.Families = s.metrics()
	case ctl.Stack:
		a.Text = s.stack()
	case ctl.Log:
		a.Lines = s.log.Lines()
	case ctl.Profile:
		a.Stacks, err = s.profile()
	case ctl.Rotate:
		err = s.log.RotateAll(&s.conf, s.plan.Site)
		s.logs.Reopen()
	case ctl.Purge:
		n := s.server.PurgeNow(p)
		if n < 0 {
			err = errors.New("a handler blocks the server; the pages are purged when it returns")
		}
		a.Pages = max(n, 0)
	case ctl.Stop:
		s.signals.finish()
	case ctl.Reload:
		err = errors.New("reloading requires a supervisor: start the server with --workers 1 or --reload")
	default:
		err = ctl.ErrUnknown
	}
	return a, err
}

// report describes this process. Of a worker, the supervisor knows the rest.
func (s *service) report() *ctl.Report {
	r := ctl.Report{PID: os.Getpid()}
	if s.parent == nil {
		r = s.alone.shown.Load().Report(s.plan, s.alone.opened)
	}
	r.Cache = cacheOf(s.server)
	w := ctl.Worker{PID: r.PID, State: "starting", Age: r.Uptime, RSS: confine.ResidentMemory(r.PID), Counters: s.counters()}
	if s.complete.Load() {
		w.State = "serving"
	}
	w.State = w.Counters.StateOf(w.State)
	r.Workers = []ctl.Worker{w}
	return &r
}

func (s *service) counters() ctl.Counters {
	c, ok := s.server.Counters()
	if !ok {
		return ctl.NotCounted
	}
	load := s.backlog()
	return ctl.Counters{Requests: c.Requests, Unsent: c.Unsent, Cut: c.Cut, Asleep: s.asleep(),
		Queued: load.Queued, First: load.First.Seconds(), Waiting: load.Waiting}
}

// backlog returns how requests wait for threads. It is safe for concurrent use.
func (s *service) backlog() pybridge.Backlog {
	if h := s.python(); h != nil {
		return h.Backlog()
	}
	return pybridge.Backlog{}
}

// stalledAfter is how long requests must wait for a thread before this process reports that it is busy.
const stalledAfter = 5 * time.Second

func (s *service) isStalled() bool { return s.backlog().Stalled >= stalledAfter }

// stack shows the Python stacks of the active requests, or the processes that answer them.
func (s *service) stack() string {
	var b strings.Builder
	if loader := s.loader.Load(); loader != nil {
		running := loader.Running()
		fmt.Fprintf(&b, "%d requests run in separate processes\n", len(running))
		for _, line := range running {
			fmt.Fprintln(&b, line)
		}
	} else if h := s.python(); h != nil {
		_ = h.Stack(&b, stackWait)
	} else {
		fmt.Fprintln(&b, s.withoutPython())
	}
	return b.String()
}

// withoutPython returns why no handlers run in this process.
func (s *service) withoutPython() string {
	switch {
	case s.asleep():
		return "the application is asleep"
	case !s.complete.Load():
		return "the application is loading"
	case s.loader.Load() != nil:
		return "the processes of --fork are not profiled"
	}
	return "this server runs no Python"
}

const profileWithin = ctl.ProfileTime + stackWait

// profile samples the Python stacks of this process for ctl.ProfileTime. The error is the reason for missing stacks.
func (s *service) profile() (all []ctl.StatusStack, err error) {
	h := s.python()
	if h == nil {
		return nil, errors.New(s.withoutPython())
	}
	ctx, cancel := context.WithTimeout(context.Background(), profileWithin)
	defer cancel()
	stacks, err := h.Profile(ctx, ctl.ProfileTime)
	for _, stack := range stacks {
		all = append(all, ctl.StatusStack(stack))
	}
	return all, err
}

// statusPage returns what answers below the path of the setting status, or nil.
func (s *service) statusPage() backend.Responder {
	if s.conf.Status == "" {
		return nil
	}
	ask := func(_ context.Context, c ctl.Command) (ctl.Answer, error) {
		return ctl.Server(s.command).AnswerPage(c), nil
	}
	if s.parent != nil {
		ask = s.parent.ask
	}
	return ctl.NewPage(ask, s.parent != nil, s.log.LogClient)
}

// ask asks the supervisor for what the status page shows.
func (p *Parent) ask(ctx context.Context, c ctl.Command) (a ctl.Answer, err error) {
	text, err := p.query(ctx, string(c))
	if err == nil && json.Unmarshal([]byte(text), &a) != nil {
		err = errors.New("the supervisor does not know the status page: stop the server and start the new version")
	}
	return a, err
}

const activeWait = 300 * time.Millisecond

// measureIfShown calls measure if the settings enable it, or if the supervisor counted requests before.
func (s *service) measureIfShown() {
	if s.conf.Status != "" || s.parent != nil && s.parent.counts {
		s.measure()
	}
}

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

// python returns the handler of the applications; nil if there are none or they are loading. It is safe for concurrent
// use.
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
		if s.asleep() {
			awake = 0
		}
		all = append(all, metrics.One("fapws_application_awake", metrics.Gauge, "", "Workers that have the application in memory, with idle-stop.", awake))
	}
	if s.complete.Load() {
		if u, some := s.built.Upstreams(); some {
			all = append(all,
				metrics.One("fapws_upstream_requests", metrics.Gauge, "", "Requests at upstreams and programs: proxies, FastCGI, PHP, CGI, server-side includes.", float64(u.Active)),
				metrics.One("fapws_upstream_errors", metrics.Counter, "", "Requests that an upstream or a program has not answered, or not to the end.", float64(u.Failed)),
				metrics.One("fapws_upstream_connections_idle", metrics.Gauge, "", "Connections to upstreams that are kept for further requests.", float64(u.Idle)),
			)
		}
	}
	if list := s.tls.Expiries(); len(list) > 0 {
		all = append(all, certificateEnds(list))
	}
	if s.parent == nil {
		all = append(all, Started(s.alone.opened))
	}
	return append(all, LostLines(s.logs.Lost()+s.log.Lost()), Memory("worker"))
}

// certificateEnds returns the metric of certificate expiry. All workers report the same certificates, except during a
// renewal.
func certificateEnds(list []certificates.Expiry) metrics.Family {
	f := metrics.Family{Name: "fapws_tls_certificate_expiry_timestamp_seconds", Kind: metrics.Gauge, Unit: "seconds", Over: metrics.Min,
		Help: "When each certificate in use expires, in seconds since 1970, by the first name in it."}
	for _, e := range list {
		f.Series = append(f.Series, metrics.Series{Labels: metrics.Labels("name", e.Name), Value: float64(e.At.Unix())})
	}
	return f
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

func Started(since time.Time) metrics.Family {
	return metrics.One("fapws_start_time_seconds", metrics.Gauge, "seconds", "When the server started, in seconds since 1970.", float64(since.UnixMilli())/1e3)
}

// sayLastWords sends the data that outlives this process to the supervisor. It is safe for concurrent use.
func (s *service) sayLastWords() {
	if s.parent == nil {
		return
	}
	s.measured.Lock()
	counted := s.measures
	s.measured.Unlock()
	if !counted && s.conf.IdleStop == 0 { // a worker that sleeps must not lose counts that exist already
		return
	}
	if text, err := json.Marshal(metrics.Lasting(s.metrics())); err == nil {
		s.parent.send(&pool.Message{Kind: pool.LastWords, Raw: text})
	}
}

func asJSON(v any) string {
	text, _ := json.Marshal(v) // "" is none
	return string(text)
}
