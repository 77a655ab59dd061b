package metrics

import (
	"slices"
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
// anywhere. To look at the clock, and an atomic addition, cost more than all the rest, so requests share them until Turn is called.
type Recorder struct {
	start time.Time
	begun atomic.Int64 // requests; those in flight have not ended

	// Of the event loop.
	arrived int64 // begun, with those since the last Turn
	at      int64 // what Begin returns until Turn is called; 0: not known yet
	over    int64 // the time for End; 0: not known yet
	shared  int   // how many Ends have used it
	alike   alike

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

// alike are requests that have ended one after the other, with the same route, class and bucket, and were not added yet.
type alike struct {
	in     *durations // nil: there are none
	bucket int
	n, sum int64
}

// add adds them.
func (a *alike) add() {
	if a.in != nil {
		a.in.counts[a.bucket].Add(a.n)
		a.in.sum.Add(a.sum)
		a.in = nil
	}
}

// mostShared bounds how many requests end at one time. They end a few microseconds after each other, and the first bucket has 100.
const mostShared = 8

// Turn is called when handlers are about to run, and when responses are about to be sent. Requests that begin between two turns were
// there when the event loop woke up. Families sees the counts from before.
func (r *Recorder) Turn() {
	r.at, r.over = 0, 0
	if r.begun.Load() != r.arrived {
		r.begun.Store(r.arrived)
	}
	r.alike.add()
}

func (r *Recorder) clock() int64 { return int64(time.Since(r.start)) + 1 }

// Begin counts a request that has arrived, and returns its time for End, which is never 0.
func (r *Recorder) Begin() int64 {
	r.arrived++
	if r.at == 0 {
		r.at, r.over = r.clock(), 0
	}
	return r.at
}

// earlier is the time of a request that began before the Recorder was made.
const earlier = -1

// BeganEarlier counts a request that is active already, and returns its time for End. The histograms leave it out, because
// its duration is not known.
func (r *Recorder) BeganEarlier() int64 {
	r.arrived++
	return earlier
}

// End counts the end of a request. began is the result of Begin or BeganEarlier. status is 0 if the client disconnected
// before the response began. route is nil if the request was not routed.
func (r *Recorder) End(began int64, route *Route, status int) {
	if began == earlier {
		r.arrived--
		return
	}
	if route == nil {
		route = r.Route("", "none")
	}
	class := status / 100
	if class < 0 || class >= len(classes) {
		class = 0
	}
	if r.over == 0 || r.shared == mostShared {
		r.over, r.shared = r.clock(), 0
	}
	r.shared++
	ns := r.over - began
	in := &route.classes[class]
	bucket, _ := slices.BinarySearch(Bounds[:], ns)
	if a := &r.alike; a.in != in || a.bucket != bucket {
		a.add()
		*a = alike{in: in, bucket: bucket}
	}
	r.alike.n++
	r.alike.sum += ns
}

// Families returns the counts up to the last Turn.
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
