package runtime

import (
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/http2"
	"fapws/runtime/live"
	"fapws/runtime/metrics"
	"fapws/runtime/source/cache"
)

// Measure makes the server count requests. Later calls have no effect. Measure is safe for concurrent use, but must not
// be called on the loop.
func (s *Server) Measure() {
	if s.measuring.Load() == nil && s.measuring.CompareAndSwap(nil, metrics.NewRecorder()) {
		s.loop.post(func() {
			s.loop.counts = s.measuring.Load()
			s.loop.sites.Measure(s.loop.counts)
			s.noteMetrics()
		})
	}
}

// Counters contains totals since the start of the server, except Unsent, which is the current value.
type Counters struct {
	Requests int64
	// number of bytes that wait for clients, without the bytes in the kernel's buffers
	Unsent int64
	// number of responses that were aborted because of Config.MaxUnsent
	Cut int64
}

// Counters returns the counters of the server. ok is false if the loop is blocked. Counters must not be called on the
// loop.
func (s *Server) Counters() (c Counters, ok bool) {
	return ask(s, countedWithin, func() Counters {
		l := s.loop
		return Counters{Requests: l.sites.Served(), Unsent: l.conns.Unsent.Total(), Cut: l.conns.Unsent.Ended()}
	})
}

const countedWithin = 200 * time.Millisecond

// Unused returns the time since a request or a WebSocket last needed the handler that was passed to Serve. The result
// is 0 while a response is being sent, and if the loop is blocked. Unused must not be called on the loop.
func (s *Server) Unused() time.Duration {
	unused, _ := ask(s, countedWithin, func() time.Duration {
		l := s.loop
		at, used := l.app.LastUse()
		if used || l.sites.Active() > 0 {
			return 0
		}
		return time.Since(l.conns.Start) - time.Duration(at)
	})
	return unused
}

// Metrics returns the metrics of the server. If a handler blocks the loop, Metrics returns the loop's metrics from an
// earlier call. Metrics must not be called on the loop.
func (s *Server) Metrics() (families []metrics.Family) {
	ask(s, answersWithin, s.noteMetrics)
	if r := s.measuring.Load(); r != nil {
		families = r.Families()
	}
	if last := s.lastMetrics.Load(); last != nil {
		families = append(families, *last...)
	}
	return families
}

// answersWithin is how long Metrics waits for the loop. After this time, the loop counts as blocked.
const answersWithin = 20 * time.Millisecond

// noteMetrics stores and returns the current metrics of the loop. noteMetrics must be called on the loop.
func (s *Server) noteMetrics() []metrics.Family {
	if r := s.loop.counts; r != nil {
		r.Turn()
	}
	connections, encrypted := connectionMetrics(s.loop.conns.All())
	unsent := &s.loop.conns.Unsent
	own := append([]metrics.Family{
		connections,
		metrics.One("fapws_unsent_bytes", metrics.Gauge, "bytes",
			"Memory of responses that wait for clients, without that of the kernel.", float64(unsent.Total())),
		metrics.One("fapws_responses_cut", metrics.Counter, "",
			"Responses ended because more than max-unsent waited for clients.", float64(unsent.Ended())),
	}, s.loop.secure.Metrics(encrypted)...)
	if store := s.store.Load(); store != nil {
		own = append(own, cacheMetrics(store.Stats())...)
	}
	s.lastMetrics.Store(&own)
	return own
}

// connectionMetrics counts the connections of clients by kind, and the connections with TLS among them.
func connectionMetrics(conns []*conn.Conn) (connections metrics.Family, encrypted int) {
	open := map[string]float64{}
	for _, c := range conns {
		kind := kindOf(c.Protocol())
		open[kind]++
		if kind != "" && c.TLS() != nil {
			encrypted++
		}
	}
	connections = metrics.Family{Name: "fapws_connections", Kind: metrics.Gauge,
		Help: "Open connections of clients by kind: sse are subscribers of channels, tunnel are proxied WebSockets."}
	for _, kind := range [...]string{"http", "http2", "sse", "websocket", "tunnel"} {
		connections.Series = append(connections.Series, metrics.Series{Labels: metrics.Labels("kind", kind),
			Value: open[kind]})
	}
	return connections, encrypted
}

// Encrypted returns the number of connections with TLS, which no other process can take over. If the loop does not
// answer in time, Encrypted returns 0. Encrypted must not be called on the loop.
func (s *Server) Encrypted() int {
	n, _ := ask(s, countedWithin, func() int {
		_, encrypted := connectionMetrics(s.loop.conns.All())
		return encrypted
	})
	return n
}

// kindOf returns the kind of a connection for the metrics, or "" if the connection has no client, as for subrequests.
func kindOf(p conn.Protocol) string {
	switch p := p.(type) {
	case *http2.Conn:
		return "http2"
	case *live.Socket:
		return "websocket"
	case *live.StreamSubscriber:
		return "sse"
	case *conn.TunnelEnd:
		if p.IsClient() {
			return "tunnel"
		}
	// an http1conn.Conn, or a connection that has not yet received the HTTP/2 preface
	case interface{ Subrequest() bool }:
		if !p.Subrequest() {
			return "http"
		}
	}
	return ""
}

func cacheMetrics(st cache.Stats) []metrics.Family {
	return []metrics.Family{
		{Name: "fapws_cache_requests", Kind: metrics.Counter,
			Help: "Requests that asked the cache, by what they found.", Series: []metrics.Series{
				{Labels: metrics.Labels("result", "hit"), Value: float64(st.Hits + st.Waited)},
				{Labels: metrics.Labels("result", "stale"), Value: float64(st.Stale)},
				{Labels: metrics.Labels("result", "miss"), Value: float64(st.Misses)},
				{Labels: metrics.Labels("result", "bypass"), Value: float64(st.Bypassed)},
			}},
		metrics.One("fapws_cache_entries", metrics.Gauge, "", "Pages in the cache.", float64(st.Entries)),
		metrics.One("fapws_cache_bytes", metrics.Gauge, "bytes", "Memory of the cache.", float64(st.Bytes)),
	}
}

// Purge removes the matching pages from the cache, and must be called on the loop.
func (s *Server) Purge(patterns ...cache.Pattern) {
	if store := s.store.Load(); store != nil {
		store.PurgeNow(patterns...)
	}
}

// PurgeNow removes the matching pages from the cache and returns their number, or -1 if the loop is blocked for too
// long. PurgeNow must not be called on the loop.
func (s *Server) PurgeNow(patterns ...cache.Pattern) int {
	store := s.store.Load()
	if store == nil {
		return 0
	}
	if n, ok := ask(s, purgedWithin, func() int { return store.PurgeNow(patterns...) }); ok {
		return n
	}
	return -1
}

const purgedWithin = 2 * time.Second

// CacheStats returns the counters of the cache. ok is false without a cache or if the loop is blocked. CacheStats
// must not be called on the loop.
func (s *Server) CacheStats() (st cache.Stats, ok bool) {
	store := s.store.Load()
	if store == nil {
		return st, false
	}
	return ask(s, countedWithin, store.Stats)
}

// ask runs f on the loop and returns the result of f. ok is false if the loop has not run f within the duration limit.
// ask must not be called on the loop.
func ask[T any](s *Server, limit time.Duration, f func() T) (answer T, ok bool) {
	said := make(chan T, 1)
	s.loop.post(func() { said <- f() })
	select {
	case answer = <-said:
		return answer, true
	case <-time.After(limit):
		return answer, false
	}
}
