package ctl

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/runtime/metrics"
)

// View describes the activity between two Answers to the command Top. All times are in seconds.
type View struct {
	Interval    float64            `json:"interval"` // in seconds
	Report      Report             `json:"report"`
	Rate        float64            `json:"rate"`     // responses per second
	Requests    int64              `json:"requests"` // responses since counting began (Report.Counted)
	Errors      int64              `json:"errors"`   // responses with status 5xx since counting began
	Durations   Quantiles          `json:"durations"`
	CPU         map[int]float64    `json:"cpu"` // share of a processor that each worker used, by process id
	InFlight    float64            `json:"in_flight"`
	Routes      []RouteView        `json:"routes"` // busiest first
	Active      []Active           `json:"active"` // oldest first
	Threads     map[string]float64 `json:"threads"`
	Queue       float64            `json:"queue"`
	QueueWait   Quantiles          `json:"queue_wait"`
	GILWait     Quantiles          `json:"gil_wait"`
	Connections map[string]float64 `json:"connections"`   // by kind, such as "upstream_idle"
	TLS         *TLSView           `json:"tls,omitempty"` // nil without HTTPS
	Upstream    float64            `json:"upstream_errors"`
	Restarts    float64            `json:"restarts"` // except by reloads
	LogLost     float64            `json:"log_lines_lost"`
}

type RouteView struct {
	Host     string  `json:"host"`
	Route    string  `json:"route"`
	Requests int64   `json:"requests"`
	Errors   int64   `json:"errors"` // responses with status 5xx
	Rate     float64 `json:"rate"`
	ErrRate  float64 `json:"error_rate"`
	Quantiles
	counts, ever []int64 // of the histogram of durations: in the interval, and since counting began
}

// label returns the name of r for people.
func (r *RouteView) label() string {
	if r.Route == metrics.NoRoute {
		return r.Host + " (no route)"
	}
	return r.Host + r.Route
}

// Quantiles are those of the interval or, if nothing was measured in it, of all N values since counting began: on a quiet
// site, there would be none otherwise.
type Quantiles struct {
	N   int64   `json:"n"`
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`

	least float64 // durations up to this one are not distinguished
}

// Compare returns the activity between two Answers to the command Top from the same server.
func Compare(earlier, now *Answer, seconds float64) *View {
	v := &View{
		Interval: seconds, Report: *now.Status, Active: append([]Active{}, now.Active...),
		Threads: values(now, "fapws_threads", "state"), Connections: values(now, "fapws_connections", "kind"),
		// the event loop cannot begin to count requests while an inline handler blocks it
		InFlight: max(value(now, "fapws_requests_in_flight"), float64(len(now.Active))),
		Queue:    value(now, "fapws_queue_length"),
		Upstream: value(now, "fapws_upstream_errors"),
		Restarts: value(now, "fapws_worker_restarts"),
		LogLost:  value(now, "fapws_log_lines_lost"),
	}
	if metrics.Find(now.Families, "fapws_threads_limit") != nil {
		v.Threads["limit"] = value(now, "fapws_threads_limit")
	}
	v.Connections["upstream"] = value(now, "fapws_upstream_requests")
	v.Connections["upstream_idle"] = value(now, "fapws_upstream_connections_idle")
	v.TLS = tlsView(earlier, now, seconds)
	v.QueueWait = quantiles(earlier, now, "fapws_queue_wait_seconds")
	v.GILWait = quantiles(earlier, now, "fapws_gil_wait_seconds")
	v.CPU = map[int]float64{}
	for _, w := range now.Status.Workers {
		for _, was := range earlier.Status.Workers {
			if was.PID == w.PID {
				v.CPU[w.PID] = max(0, w.CPU-was.CPU) / seconds
			}
		}
	}
	v.routes(earlier, now, seconds)
	v.Report.Applications = nil
	for _, a := range now.Status.Applications {
		if a.Top != nil {
			before := a.Top
			for _, was := range earlier.Status.Applications {
				if was.Name == a.Name && was.PID == a.PID && was.Top != nil {
					before = was.Top
				}
			}
			a.View, a.Top = Compare(before, a.Top, seconds), nil
		}
		v.Report.Applications = append(v.Report.Applications, a)
	}
	return v
}

func (v *View) routes(earlier, now *Answer, seconds float64) {
	const name = "fapws_request_duration_seconds"
	ever, interval := metrics.Find(now.Families, name), recent(earlier, now, name)
	at := map[[2]string]*RouteView{}
	for i := range interval.Series {
		s := &interval.Series[i]
		k := [2]string{s.Label("host"), s.Label("route")}
		r := at[k]
		if r == nil {
			r = &RouteView{Host: k[0], Route: k[1], counts: make([]int64, len(interval.Bounds)+1),
				ever: make([]int64, len(interval.Bounds)+1)}
			at[k] = r
		}
		total, rate := ever.Series[i].Count(), float64(s.Count())/seconds
		r.Requests += total
		r.Rate += rate
		if strings.HasPrefix(s.Label("code"), "5") {
			r.Errors += total
			r.ErrRate += rate
		}
		sum(r.counts, s.Counts)
		sum(r.ever, ever.Series[i].Counts)
	}
	for _, a := range v.Active { // a route whose first request has not ended
		if k := [2]string{a.Host, a.Route}; a.Route != "" && at[k] == nil {
			at[k] = &RouteView{Host: a.Host, Route: a.Route}
		}
	}
	lately, all := make([]int64, len(interval.Bounds)+1), make([]int64, len(interval.Bounds)+1)
	for _, r := range at {
		r.Quantiles = quantilesOf(interval.Bounds, r.counts, r.ever)
		v.Rate, v.Requests, v.Errors = v.Rate+r.Rate, v.Requests+r.Requests, v.Errors+r.Errors
		sum(lately, r.counts)
		sum(all, r.ever)
		v.Routes = append(v.Routes, *r)
	}
	v.Durations = quantilesOf(interval.Bounds, lately, all)
	sort.Slice(v.Routes, func(i, j int) bool {
		x, y := &v.Routes[i], &v.Routes[j]
		return cmp.Or(cmp.Compare(y.Rate, x.Rate), cmp.Compare(y.Requests, x.Requests),
			strings.Compare(x.Host+x.Route, y.Host+y.Route)) < 0
	})
}

// sum adds the counts of a histogram to total.
func sum(total, counts []int64) {
	for b := range min(len(total), len(counts)) {
		total[b] += counts[b]
	}
}

func quantiles(earlier, now *Answer, name string) Quantiles {
	f := recent(earlier, now, name)
	if len(f.Series) == 0 {
		return Quantiles{}
	}
	return quantilesOf(f.Bounds, f.Series[0].Counts, metrics.Find(now.Families, name).Series[0].Counts)
}

func quantilesOf(bounds []float64, lately, ever []int64) Quantiles {
	least, counts := 0., lately
	if len(bounds) > 0 {
		least = bounds[0]
	}
	if (&metrics.Series{Counts: lately}).Count() == 0 {
		counts = ever
	}
	return Quantiles{
		least: least,
		N:     (&metrics.Series{Counts: counts}).Count(),
		P50:   metrics.Quantile(bounds, counts, 0.5),
		P95:   metrics.Quantile(bounds, counts, 0.95),
		P99:   metrics.Quantile(bounds, counts, 0.99),
	}
}

// recent returns a histogram of the values counted between two Answers. If the Answers do not contain the histogram,
// the result has no series. If the counts of a series are smaller than before, the series was reset, for example by an
// upgrade.
func recent(earlier, now *Answer, name string) *metrics.Family {
	var f metrics.Family
	if found := metrics.Find(now.Families, name); found != nil {
		f = *found
	}
	old := map[string]*metrics.Series{}
	if found := metrics.Find(earlier.Families, name); found != nil {
		for i := range found.Series {
			old[found.Series[i].Labels] = &found.Series[i]
		}
	}
	f.Series = slices.Clone(f.Series)
	for i := range f.Series {
		s := &f.Series[i]
		was := old[s.Labels]
		if was == nil || len(was.Counts) != len(s.Counts) || was.Count() > s.Count() {
			continue
		}
		s.Counts = slices.Clone(s.Counts)
		for b := range s.Counts {
			s.Counts[b] = max(0, s.Counts[b]-was.Counts[b])
		}
	}
	return &f
}

func values(o *Answer, name, label string) map[string]float64 {
	all := map[string]float64{}
	if f := metrics.Find(o.Families, name); f != nil {
		for i := range f.Series {
			all[f.Series[i].Label(label)] += f.Series[i].Value
		}
	}
	return all
}

func value(o *Answer, name string) float64 { return values(o, name, "")[""] }

type Active struct {
	Worker  int     `json:"worker"`
	Request string  `json:"request"` // method and path, without the query
	Handler string  `json:"handler"`
	Mount   int     `json:"-"`
	Host    string  `json:"host"`
	Route   string  `json:"route"` // "" if unknown
	Age     float64 `json:"age"`   // seconds
	State   string  `json:"state"`
	At      string  `json:"at,omitempty"` // line of Python, or ""
	Late    bool    `json:"late"`         // the handler runs, or waits to run, for longer than its timeout
}

func (r *Report) heading() string {
	where := "not served yet"
	if len(r.Addresses) > 0 {
		where = "on " + strings.Join(r.Addresses, "  ")
	}
	text := fmt.Sprintf("fapws %s, pid %d, up %s, %s\n%s %s\n", r.Version, r.PID, period(r.Uptime), python(r), r.App,
		where)
	if r.Failure != "" {
		text += "the last reload failed: " + r.Failure + "\n"
	}
	return text
}

// origin says since when requests are counted.
func (r *Report) origin() string {
	since := "start"
	if r.Counted < r.Uptime {
		since = "first look " + period(r.Counted) + " ago"
	}
	return "requests, 5xx, and percentiles of quiet routes: since the " + since
}

func (r *Report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	var b strings.Builder
	b.WriteString(r.heading())
	for _, line := range r.workerTable(nil).lines(new(screen)) {
		fmt.Fprintln(&b, line)
	}
	for _, worker := range r.Workers {
		if worker.Cut > 0 {
			fmt.Fprintf(&b, "worker %d: %d responses ended because more than max-unsent waited for slow clients; "+
				"%.1f MB wait now\n", worker.PID, worker.Cut, float64(worker.Unsent)/1e6)
		}
		if worker.Queued > 0 {
			fmt.Fprintf(&b, "worker %d: requests that wait for a thread: %d, the first for %.1f s\n", worker.PID,
				worker.Queued, worker.First)
		}
		if worker.Waiting > 0 {
			fmt.Fprintf(&b, "worker %d: handlers that have waited for long, in addition to --threads: %d; fapws ctl "+
				"stack shows where\n", worker.PID, worker.Waiting)
		}
	}
	if r.Cache != nil && (r.Cache.Entries > 0 || r.Cache.asked() > 0) {
		fmt.Fprintln(&b, r.Cache)
	}
	for _, a := range r.Applications {
		a.write(&b)
	}
	_, err := io.WriteString(w, visible(b.String()))
	return err
}

// heading returns the name and the state of a.
func (a *ApplicationStatus) heading() string {
	text := fmt.Sprintf("application %s: %s", a.Name, a.State)
	if a.PID != 0 {
		text += fmt.Sprintf(", pid %d", a.PID)
	}
	if a.Restarts > 0 {
		text += ", started again " + pool.Count(a.Restarts, "time")
	}
	return text
}

// write writes the state of a, and the table of its workers.
func (a *ApplicationStatus) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s\n", a.heading())
	if a.Report == nil {
		return
	}
	if a.Report.Failure != "" {
		fmt.Fprintf(b, "the last reload failed: %s\n", a.Report.Failure)
	}
	for _, line := range a.Report.workerTable(nil).lines(new(screen)) {
		fmt.Fprintln(b, line)
	}
}

// period formats seconds: 12s, 5m12s, 3h12m, 4d3h.
func period(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d < time.Hour:
		return d.String()
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

type TLSView struct {
	Connections float64            `json:"connections"`
	InProgress  float64            `json:"handshakes_in_progress"`
	Rate        float64            `json:"handshake_rate"` // successful handshakes per second
	Handshakes  map[string]float64 `json:"handshakes"`     // by kind: full, resumed
	Failures    map[string]float64 `json:"failures"`       // by reason
	// map from the first name in a certificate to the seconds until the certificate expires
	Certificates map[string]float64 `json:"certificates"`
}

func tlsView(earlier, now *Answer, seconds float64) *TLSView {
	const handshakes = "fapws_tls_handshakes"
	if metrics.Find(now.Families, handshakes) == nil {
		return nil
	}
	v := &TLSView{
		Connections: value(now, "fapws_tls_connections"), InProgress: value(now, "fapws_tls_handshakes_in_progress"),
		Rate:         max(0, value(now, handshakes)-value(earlier, handshakes)) / seconds,
		Handshakes:   values(now, handshakes, "kind"),
		Failures:     values(now, "fapws_tls_handshake_failures", "reason"),
		Certificates: values(now, "fapws_tls_certificate_expiry_timestamp_seconds", "name"),
	}
	maps.DeleteFunc(v.Failures, func(_ string, n float64) bool { return n == 0 })
	for name := range v.Certificates {
		v.Certificates[name] -= float64(time.Now().Unix())
	}
	return v
}
