//lint:file-ignore SA1019 net/http cannot open a connection of HTTP/2 over one that exists

package bench

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// tick is the pause before a retry.
const tick = 100 * time.Millisecond

// schedule determines when requests are due, relative to the start.
type schedule struct {
	left     int64         // requests that may still be started
	until    time.Duration // when the last one may be due
	interval float64       // nanoseconds between requests; 0 means without a rate
	started  int64
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// due returns when the next request is due: now without a rate.
func (s *schedule) due(now time.Duration) time.Duration {
	if s.interval == 0 {
		return now
	}
	return time.Duration(float64(s.started) * s.interval)
}

// next returns when the next request is due, or never after the last request.
func (s *schedule) next(now time.Duration) time.Duration {
	due := s.due(now)
	if s.left == 0 || max(due, now) >= s.until {
		return never
	}
	return due
}

// start counts n started requests. n is -1 for a request that was not sent.
func (s *schedule) start(n int64) {
	s.started += n
	s.left -= n
}

// generator runs the connections. Each connection has a goroutine for each concurrent request.
type generator struct {
	*target
	streams     int // requests at once on a connection
	connections []*connection
	http2       *http2.Transport
	received    atomic.Int64 // bytes
	begin       time.Time
	ctx         context.Context // ends when the run ends
	end         context.CancelFunc

	mu       sync.Mutex // of the fields below
	counts   *counts
	schedule schedule
	open     int           // connections
	lastOpen time.Duration // when there was an open connection
}

// newGenerator returns a generator that stops when ctx ends.
func newGenerator(ctx context.Context, t *target, k *counts, o *Options) *generator {
	g := &generator{target: t, counts: k, streams: o.Streams, begin: time.Now()}
	g.schedule = schedule{left: cmp.Or(o.Requests, math.MaxInt64), until: cmp.Or(o.Duration, never)}
	g.ctx, g.end = context.WithCancel(ctx)
	g.http2 = &http2.Transport{AllowHTTP: true, DisableCompression: true, StrictMaxConcurrentStreams: true, MaxHeaderListSize: maxHead, WriteByteTimeout: o.Timeout}
	if o.Rate > 0 {
		g.schedule.interval = float64(time.Second) / o.Rate
	}
	for range o.Connections {
		g.connections = append(g.connections, &connection{g: g})
	}
	return g
}

// connect opens all connections before the first request.
func (g *generator) connect() {
	var all sync.WaitGroup
	for _, c := range g.connections {
		all.Go(func() { c.open() })
	}
	all.Wait()
}

// run sends the requests and waits for all responses, or until the ctx of newGenerator ends.
func (g *generator) run(ctx context.Context) {
	defer g.end()
	g.begin = time.Now()
	var all sync.WaitGroup
	for _, c := range g.connections {
		for i := range g.streams {
			all.Go(func() { c.send(i) })
		}
	}
	all.Wait()
	now, s := g.now(), &g.schedule
	end := min(now, s.until)
	if s.until == never && s.left > 0 && ctx.Err() == nil {
		g.counts.failures["not sent: the server keeps no connection"] += s.left
		s.left = 0
	}
	for ; s.left > 0 && s.due(end) < end; s.start(1) {
		g.counts.unsent++
		g.counts.record(now - s.due(end))
	}
}

// now returns the time since the start.
func (g *generator) now() time.Duration { return time.Since(g.begin) }

// locked calls f with g.mu locked.
func (g *generator) locked(f func(now time.Duration)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(g.now())
}

// take reserves the next request for the caller and returns when it is due, or never.
func (g *generator) take() (due time.Duration) {
	g.locked(func(now time.Duration) {
		if due = g.schedule.next(now); due != never {
			g.schedule.start(1)
		}
	})
	return due
}

// pause waits for tick. It ends the run if no connection was open for too long.
func (g *generator) pause() {
	g.await(g.now() + tick)
	g.locked(func(now time.Duration) {
		if g.open == 0 && now-g.lastOpen > g.timeout {
			g.end()
		}
	})
}

// await waits until the time at or the end of the run.
func (g *generator) await(at time.Duration) {
	if wait := at - g.now(); wait > 0 {
		select {
		case <-g.ctx.Done():
		case <-time.After(wait):
		}
	}
}

// wanted reports whether a connection is needed. holding is true if the caller has reserved a request.
func (g *generator) wanted(holding bool) (wanted bool) {
	g.locked(func(now time.Duration) { wanted = g.ctx.Err() == nil && (holding || g.schedule.next(now) != never) })
	return wanted
}

// finished counts a response.
func (g *generator) finished(since time.Duration, status int) {
	g.locked(func(now time.Duration) {
		k := g.counts
		k.record(now - since)
		k.statuses[status]++
		k.finished++
		k.last = now
		if now <= g.schedule.until {
			k.inTime++
		}
	})
}

// failed counts a request without a response, or a connection that could not be opened, by its reason.
func (g *generator) failed(in map[string]int64, reason string) {
	g.locked(func(time.Duration) {
		if g.ctx.Err() == nil {
			in[reason]++
		}
	})
}

// maxRefusals limits the retries of a refused request.
const maxRefusals = 10

// errRefused is the error of a request that the server has not processed.
var errRefused = errors.New("refused by a server that stops")

// connection is opened again when it has failed or was closed.
type connection struct {
	g       *generator
	mu      sync.Mutex
	session session     // nil if not open
	used    atomic.Bool // a request was sent since it was opened
}

// open opens c and reports whether it succeeded.
func (c *connection) open() bool {
	var err error
	c.used.Store(false)
	if c.session, err = c.g.dial(); err != nil {
		c.g.failed(c.g.counts.refused, notOpened(err))
		return false
	}
	c.g.locked(func(time.Duration) { c.g.open++ })
	return true
}

// get returns the open session of c. It returns nil if no more requests can be sent. Before it reopens a connection
// that was closed before its first request, it pauses. holding is true if the caller has reserved a request.
func (c *connection) get(holding bool) session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil && c.session.usable() {
		return c.session
	}
	if c.session == nil || !c.used.Load() {
		c.g.pause()
	}
	if c.session != nil {
		c.session = nil
		c.g.locked(func(now time.Duration) {
			c.g.open--
			c.g.lastOpen = now
		})
	}
	for ; c.g.wanted(holding); c.g.pause() {
		if c.open() {
			return c.session
		}
	}
	return nil
}

// send sends requests until the end of the run. i numbers the senders of a connection. A latency starts when the
// request was due, or when it was sent if c was idle at that time.
func (c *connection) send(i int) {
	g := c.g
	for g.wanted(false) {
		s := c.get(false)
		if s == nil {
			return
		}
		if i >= s.room() {
			g.pause()
			continue
		}
		free := g.now()
		since := g.take()
		if since == never {
			return
		}
		if since > free {
			g.await(since)
			late := g.now() - since
			since += late
			g.locked(func(time.Duration) { g.counts.late = max(g.counts.late, late) })
		}
		c.request(since)
	}
}

// request sends a reserved request and counts its result.
func (c *connection) request(since time.Duration) {
	for refusals := 0; ; refusals++ {
		s := c.get(true)
		if s == nil {
			c.g.locked(func(time.Duration) { c.g.schedule.start(-1) })
			return
		}
		c.used.Store(true)
		status, err := s.request()
		switch {
		case err == nil:
			c.g.finished(since, status)
			return
		case !errors.Is(err, errRefused) || refusals == maxRefusals:
			c.g.failed(c.g.counts.failures, reason(err))
			return
		}
	}
}
