package metrics

import (
	"sync"
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of the buckets of durations, in nanoseconds: from 100 µs, in which a small handler
// answers, to the 30 s after which browsers and proxies give up.
var Bounds = [...]int64{
	1e5, 25e4, 5e5, 1e6, 25e5, 5e6, 1e7, 25e6, 5e7, 1e8, 25e7, 5e8, 1e9, 25e8, 5e9, 1e10, 3e10,
}

// Seconds are Bounds in seconds.
func Seconds() []float64 {
	out := make([]float64, len(Bounds))
	for i, ns := range Bounds {
		out[i] = float64(ns) / 1e9
	}
	return out
}

// durations is a histogram of durations. One goroutine writes it, any may read it.
type durations struct {
	counts [len(Bounds) + 1]atomic.Int64
	sum    atomic.Int64 // nanoseconds
}

func (d *durations) observe(ns int64) {
	i := 0
	for i < len(Bounds) && ns > Bounds[i] {
		i++
	}
	d.counts[i].Add(1)
	d.sum.Add(ns)
}

// series returns the values so far, false if there are none.
func (d *durations) series(labels string) (Series, bool) {
	s := Series{Labels: labels, Counts: make([]int64, len(d.counts))}
	for i := range d.counts {
		s.Counts[i] = d.counts[i].Load()
	}
	s.Total = float64(d.sum.Load()) / 1e9
	return s, s.Count() > 0
}

// classes are the values of the label code, by the first digit of the status. "gone": the client left before the response
// began.
var classes = [...]string{"gone", "1xx", "2xx", "3xx", "4xx", "5xx"}

// mostRoutes bounds the routes that have series of their own. Requests of others are counted with the route "other".
const mostRoutes = 250

// Recorder counts the requests of a server. Begin, Turn, End and Route must be called on the event loop, Families may be called
// anywhere.
type Recorder struct {
	start time.Time
	begun atomic.Int64 // requests; those in flight have not ended
	at    int64        // what Begin returns until Turn is called; 0: not known yet

	mu     sync.Mutex // of routes
	routes []*Route
	byName map[[2]string]*Route
}

// Route counts the requests that the same mount of the configuration answers.
type Route struct {
	host, name string
	classes    [len(classes)]durations
}

// NewRecorder returns a Recorder that has counted nothing.
func NewRecorder() *Recorder {
	return &Recorder{start: time.Now(), byName: map[[2]string]*Route{}}
}

// Route returns what counts the requests for host, "" the default one, and a route as the operator knows it.
func (r *Recorder) Route(host, name string) *Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{host, name}
	if len(r.routes) >= mostRoutes-1 && r.byName[key] == nil {
		key = [2]string{"", "other"}
	}
	route := r.byName[key]
	if route == nil {
		route = &Route{host: key[0], name: key[1]}
		r.byName[key] = route
		r.routes = append(r.routes, route)
	}
	return route
}

// Turn is called when handlers are about to run. Requests between two turns were there when the event loop woke up, so they share
// a look at the clock, which costs more than all the rest.
func (r *Recorder) Turn() { r.at = 0 }

// Begin counts a request that has arrived, and returns its time for End, which is never 0.
func (r *Recorder) Begin() int64 {
	r.begun.Add(1)
	if r.at == 0 {
		r.at = int64(time.Since(r.start)) + 1
	}
	return r.at
}

// End counts the end of the request that Begin has returned began for. status 0: its client left before the response
// began. route may be nil: nothing was found out about the request.
func (r *Recorder) End(began int64, route *Route, status int) {
	if route == nil {
		route = r.Route("", "none")
	}
	class := status / 100
	if class < 0 || class >= len(classes) {
		class = 0
	}
	route.classes[class].observe(int64(time.Since(r.start)) + 1 - began)
}

// Families returns what was counted so far.
func (r *Recorder) Families() []Family {
	requests := Family{Name: "fapws_request_duration_seconds", Kind: Histogram, Unit: "seconds", Bounds: Seconds(),
		Help: "Time from the head of a request to the end of its response, by route of the configuration and class of status; code gone: the client left before."}
	begun := r.begun.Load()
	r.mu.Lock()
	routes := r.routes
	r.mu.Unlock()
	for _, route := range routes {
		for class := range route.classes {
			if s, some := route.classes[class].series(Labels("host", route.host, "route", route.name, "code", classes[class])); some {
				requests.Series = append(requests.Series, s)
				begun -= s.Count()
			}
		}
	}
	return []Family{
		requests,
		One("fapws_requests_in_flight", Gauge, "", "Requests whose response has not ended.", float64(max(0, begun))),
	}
}
