package metrics

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of the duration buckets, in nanoseconds: from 100 µs, for small handlers, to 30 s,
// after which browsers and proxies time out.
var Bounds = [...]int64{
	1e5, 25e4, 5e5, 1e6, 25e5, 5e6, 1e7, 25e6, 5e7, 1e8, 25e7, 5e8, 1e9, 25e8, 5e9, 1e10, 3e10,
}

func Seconds() []float64 {
	out := make([]float64, len(Bounds))
	for i, ns := range Bounds {
		out[i] = float64(ns) / 1e9
	}
	return out
}

// durations is a histogram, which only one goroutine may change, and which any goroutine may read.
type durations struct {
	counts [len(Bounds) + 1]atomic.Int64
	sum    atomic.Int64
}

func (d *durations) series(labels string) (Series, bool) {
	s := Series{Labels: labels, Counts: make([]int64, len(d.counts))}
	for i := range d.counts {
		s.Counts[i] = d.counts[i].Load()
	}
	s.Total = float64(d.sum.Load()) / 1e9
	return s, s.Count() > 0
}

// classes contains the values of the label code, indexed by the first digit of the status. "gone" means that the client
// disconnected before the response began.
var classes = [...]string{"gone", "1xx", "2xx", "3xx", "4xx", "5xx"}

// mostRoutes limits the number of routes with their own series; requests for other routes are counted in the route
// "other".
const mostRoutes = 250

// Recorder counts a server's requests. Begin, Turn, End and Route must be called on the event loop; Families may be
// called on any goroutine. The most expensive operations are reading the clock and atomic additions. Therefore all
// requests between two calls of Turn share one reading of the clock and one addition.
type Recorder struct {
	start time.Time
	// number of requests that had begun at the last Turn, including requests that have ended
	begun atomic.Int64

	// number of requests that have begun, used only on the event loop
	arrived int64
	// the result of Begin until the next Turn; 0 if the clock must be read first
	at     int64
	over   int64 // the time used by End; 0 if the clock must be read first
	shared int   // number of calls of End that have used the field over
	alike  alike

	mu     sync.Mutex
	routes []*Route
	byName map[[2]string]*Route
}

type Route struct {
	host, name string
	classes    [len(classes)]durations
	limited    atomic.Int64
}

func (r *Route) Limited() { r.limited.Add(1) }

func NewRecorder() *Recorder {
	return &Recorder{start: time.Now(), byName: map[[2]string]*Route{}}
}

// Route returns the counters for the route that the configuration calls name; host is "" for the default host.
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

// alike collects consecutive requests with the same route, class and bucket that have ended but were not added yet.
type alike struct {
	in     *durations // nil if there are no such requests
	bucket int
	n, sum int64
}

func (a *alike) add() {
	if a.in != nil {
		a.in.counts[a.bucket].Add(a.n)
		a.in.sum.Add(a.sum)
		a.in = nil
	}
}

// mostShared limits how many calls of End use the same reading of the clock. The resulting error is a few microseconds,
// because requests that end in one turn end at nearly the same time. The bound of the first bucket, 100 µs, is much
// larger.
const mostShared = 8

// Turn must be called before handlers run and before responses are sent. Between two calls of Turn, all calls of Begin
// return the same time, because their requests had arrived when the event loop woke up. Families returns the counts as
// of the last Turn.
func (r *Recorder) Turn() {
	r.at, r.over = 0, 0
	if r.begun.Load() != r.arrived {
		r.begun.Store(r.arrived)
	}
	r.alike.add()
}

func (r *Recorder) clock() int64 { return int64(time.Since(r.start)) + 1 }

// Begin returns the start time of a request, to be passed to End. The result is never 0.
func (r *Recorder) Begin() int64 {
	r.arrived++
	if r.at == 0 {
		r.at, r.over = r.clock(), 0
	}
	return r.at
}

// Withdraw replaces End for a request that is not to be counted.
func (r *Recorder) Withdraw() { r.arrived-- }

// earlier means the unknown start time of a request that began before the Recorder was created.
const earlier = -1

// BeganEarlier replaces Begin for a request that began before the Recorder was created. The duration of such a request
// is unknown, so it is not counted in histograms.
func (r *Recorder) BeganEarlier() int64 {
	r.arrived++
	return earlier
}

// NoRoute is the label of requests that no route accepts.
const NoRoute = "none"

// End counts the end of a request. began is the result of Begin or BeganEarlier, status is 0 if the client disconnected
// before the response began, and route is nil if the request was not routed.
func (r *Recorder) End(began int64, route *Route, status int) {
	if began == earlier {
		r.arrived--
		return
	}
	if route == nil {
		route = r.Route("", NoRoute)
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

func (r *Recorder) Families() []Family {
	requests := Family{Name: "fapws_request_duration_seconds", Kind: Histogram, Unit: "seconds", Bounds: Seconds(),
		Help: "Time from the head of a request to the end of its response, by route of the configuration and class " +
			"of status; code gone: the client left before."}
	begun := r.begun.Load()
	r.mu.Lock()
	routes := r.routes
	r.mu.Unlock()
	limited := Family{Name: "fapws_rate_limited", Kind: Counter,
		Help: "Requests above a rate limit, by route of the configuration, with those of a dry run."}
	for _, route := range routes {
		if n := route.limited.Load(); n > 0 {
			limited.Series = append(limited.Series, Series{Labels: Labels("host", route.host, "route", route.name),
				Value: float64(n)})
		}
		for class := range route.classes {
			if s, some := route.classes[class].series(Labels("host", route.host, "route", route.name, "code",
				classes[class])); some {
				requests.Series = append(requests.Series, s)
				begun -= s.Count()
			}
		}
	}
	all := []Family{
		requests,
		One("fapws_requests_in_flight", Gauge, "", "Requests whose response has not ended.", float64(max(0, begun))),
	}
	if len(limited.Series) > 0 {
		all = append(all, limited)
	}
	return all
}
