package worker

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/metrics"
	"fapws/runtime/source/cache"
)

const stackWait = 2 * time.Second

// command executes a command from the control socket in a process without a supervisor (see ctl.Executor).
func (s *service) command(c ctl.Command, p cache.Pattern) (a ctl.Answer, err error) {
	switch c {
	case ctl.Status, ctl.CA:
		a.Status = s.report()
	case ctl.Top:
		a.Families = s.metrics()
		a.Status, a.Active = s.report(), s.active()
	case ctl.Metrics:
		a.Families = s.metrics()
	case ctl.Stack:
		a.Text = s.python.stack()
	case ctl.Logs:
		a.Lines = s.log.Lines("")
	case ctl.Profile:
		a.Stacks, err = s.python.profile()
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
		err = s.again.reload("fapws ctl")
		a.Later = err == nil
	default:
		err = ctl.ErrUnknown
	}
	return a, err
}

// report returns a description of this process, to which the supervisor of a worker adds data about the whole server.
func (s *service) report() *ctl.Report {
	r := ctl.Report{PID: os.Getpid()}
	if shown := s.shown.Load(); shown != nil {
		r = shown.Report(s.plan, s.opened)
	}
	if s.conf.Status != "" { // measureIfShown
		r.Counted = r.Uptime
	} else if s.measures.Load() {
		r.Counted = time.Since(s.measured.began).Seconds()
	}
	r.Cache = cacheOf(s.server)
	w := ctl.Worker{PID: r.PID, State: "starting", Age: r.Uptime, RSS: confine.ResidentMemory(r.PID),
		CPU:      confine.ProcessorTime(r.PID),
		Counters: s.counters()}
	if s.python.is(appRunning) {
		w.State = "serving"
	}
	w.State = w.Counters.StateOf(w.State)
	r.Workers = []ctl.Worker{w}
	return &r
}

// active returns the active requests with the names of their routes.
func (s *service) active() []ctl.Active {
	list := s.python.active()
	if s.built != nil {
		names := exchange.RouteNames(s.built.Sites)
		for i := range list {
			if name, ok := names[list[i].Mount]; ok {
				list[i].Host, list[i].Route = name.Host, name.Route
			}
		}
	}
	return list
}

func (s *service) counters() ctl.Counters {
	c, ok := s.server.Counters()
	if !ok {
		return ctl.NotCounted
	}
	load := s.python.backlog()
	return ctl.Counters{Requests: c.Requests, Counted: c.Requests - s.measured.earlier.Load(), Unsent: c.Unsent, Cut: c.Cut, Asleep: s.python.asleep(),
		Queued: load.Queued, First: load.First.Seconds(), Waiting: load.Waiting}
}

func (s *service) statusPage() backend.Responder {
	if s.conf.Status == "" {
		return nil
	}
	ask := s.ask
	if ask == nil {
		ask = func(_ context.Context, c ctl.Command) (ctl.Answer, error) {
			return ctl.Executor(s.command).AnswerPage(c), nil
		}
	}
	return ctl.NewPage(ask, s.log.LogClient)
}

// measureIfShown calls measure if the settings enable the status page or metrics, or if the workers already counted
// requests before this worker started.
func (s *service) measureIfShown() {
	if s.conf.Status != "" || s.counts {
		s.measure()
	}
}

// measure makes the server start to count requests, and must not be called on the event loop.
func (s *service) measure() {
	s.measuring.Lock()
	defer s.measuring.Unlock()
	if !s.measures.Load() {
		c, _ := s.server.Counters()
		s.measured.began = time.Now()
		s.measured.earlier.Store(c.Requests)
	}
	s.server.Measure()
	s.measures.Store(true)
	if h := s.python.running(); h != nil {
		h.Measure()
	}
}

// metrics returns the metrics of this process; the first call starts the counting of requests.
func (s *service) metrics() []metrics.Family {
	s.measure()
	all := s.server.Metrics()
	if h := s.python.running(); h != nil {
		all = append(all, h.Metrics()...)
	}
	if s.plan.Conf.IdleStop > 0 {
		awake := 1.
		if s.python.asleep() {
			awake = 0
		}
		all = append(all, metrics.One("fapws_application_awake", metrics.Gauge, "",
			"Workers that have the application in memory, with idle-stop.", awake))
	}
	if s.python.is(appRunning) {
		if u, some := s.built.Upstreams(); some {
			all = append(all,
				metrics.One("fapws_upstream_requests", metrics.Gauge, "",
					"Requests at upstreams and programs: proxies, FastCGI, PHP, CGI, server-side includes.", float64(u.Active)),
				metrics.One("fapws_upstream_errors", metrics.Counter, "",
					"Requests that an upstream or a program has not answered, or not to the end.", float64(u.Failed)),
				metrics.One("fapws_upstream_connections_idle", metrics.Gauge, "",
					"Connections to upstreams that are kept for further requests.", float64(u.Idle)),
			)
		}
	}
	if s.spans != nil {
		all = append(all, metrics.One("fapws_otel_spans_dropped", metrics.Counter, "",
			"Spans that the collector of OpenTelemetry did not get: it is missing or too slow.", float64(s.spans.Dropped())))
	}
	if list := s.https.tls.Expiries(); len(list) > 0 {
		all = append(all, certificateEnds(list))
	}
	if s.shown.Load() != nil {
		all = append(all, Started(s.opened))
	}
	return append(all, LostLines(s.logs.Lost()+s.log.Lost()), Memory("worker"))
}

// certificateEnds returns the metric with the expiry time of each certificate. All workers report the same
// certificates, except during a renewal.
func certificateEnds(list []certificates.Expiry) metrics.Family {
	f := metrics.Family{Name: "fapws_tls_certificate_expiry_timestamp_seconds", Kind: metrics.Gauge, Unit: "seconds",
		Over: metrics.Min, Help: "When each certificate in use expires, in seconds since 1970, by the first name in it."}
	for _, e := range list {
		f.Series = append(f.Series, metrics.Series{Labels: metrics.Labels("name", e.Name), Value: float64(e.At.Unix())})
	}
	return f
}

func LostLines(n int64) metrics.Family {
	return metrics.One("fapws_log_lines_lost", metrics.Counter, "",
		"Lines that logs did not take: the disk was full or too slow, or standard error is closed.", float64(n))
}

func Memory(process string) metrics.Family {
	return metrics.Family{Name: "fapws_memory_anonymous_bytes", Kind: metrics.Gauge, Unit: "bytes",
		Help: "Resident memory of processes that is their own (RssAnon), all workers together.",
		Series: []metrics.Series{{Labels: metrics.Labels("process", process),
			Value: float64(confine.AnonymousMemory(os.Getpid()))}}}
}

func Started(start time.Time) metrics.Family {
	return metrics.One("fapws_start_time_seconds", metrics.Gauge, "seconds",
		"When the server started, in seconds since 1970.", float64(start.UnixMilli())/1e3)
}

// sayLastWords sends the last lines of the log and the counters of this process to the supervisor. sayLastWords is safe
// for concurrent use.
func (s *service) sayLastWords() {
	words := ctl.Answer{Lines: s.log.Lines("")}
	// With the setting idle-stop, workers are often replaced, so counters must be kept even if no client has requested
	// metrics yet.
	if s.measures.Load() || s.conf.IdleStop != 0 {
		words.Families = metrics.Lasting(s.metrics())
	}
	s.role.tell(&pool.Message{Kind: pool.LastWords, Raw: asJSON(words)})
}

func asJSON(v any) []byte {
	text, _ := json.Marshal(v)
	return text
}
