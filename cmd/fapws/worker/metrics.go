package worker

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/pybridge"
	"fapws/runtime/metrics"
)

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

// farewell tells the supervisor what lasts of this process.
func (p *Parent) farewell() {
	s := p.s
	s.measured.Lock()
	counted := s.measures
	s.measured.Unlock()
	if !counted && s.conf.IdleStop == 0 { // a worker that sleeps must not lose counts that exist already
		return
	}
	if text, err := json.Marshal(metrics.Lasting(s.metrics())); err == nil {
		_ = p.channel.SendFarewell(string(text)) // listen sees the end of the channel
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
