//lint:file-ignore SA1019 net/http cannot open a connection of HTTP/2 over one that exists

package main

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

const tick = 100 * time.Millisecond

// A schedule determines when requests are due. The times of a schedule are relative to the start.
type schedule struct {
	left     int64 // requests that may still be started
	until    time.Duration
	interval float64 // nanoseconds between requests; 0 without a rate
	started  int64
}

const never = time.Duration(math.MaxInt64)

func (s *schedule) due(now time.Duration) time.Duration {
	if s.interval == 0 {
		return now
	}
	return time.Duration(float64(s.started) * s.interval)
}

func (s *schedule) next(now time.Duration) time.Duration {
	due := s.due(now)
	if s.left == 0 || max(due, now) >= s.until {
		return never
	}
	return due
}

// start counts n requests as sent; -1 takes back a request that was not sent.
func (s *schedule) start(n int64) {
	s.started += n
	s.left -= n
}

type generator struct {
	*target
	connections []*connection
	http2       *http2.Transport
	received    atomic.Int64
	begin       time.Time
	ctx         context.Context
	end         context.CancelFunc

	mu       sync.Mutex // guards the fields below
	counts   *counts
	schedule schedule
	open     int
	lastOpen time.Duration
}

func newGenerator(ctx context.Context, t *target, k *counts) *generator {
	g := &generator{target: t, counts: k, begin: time.Now()}
	g.schedule = schedule{left: cmp.Or(t.Requests, math.MaxInt64), until: cmp.Or(t.Duration, never)}
	g.ctx, g.end = context.WithCancel(ctx)
	g.http2 = &http2.Transport{AllowHTTP: true, DisableCompression: true, StrictMaxConcurrentStreams: true,
		MaxHeaderListSize: maxHead, WriteByteTimeout: t.Timeout}
	if t.Rate > 0 {
		g.schedule.interval = float64(time.Second) / t.Rate
	}
	for range t.Connections {
		g.connections = append(g.connections, &connection{g: g})
	}
	return g
}

func (g *generator) connect() {
	var all sync.WaitGroup
	for _, c := range g.connections {
		all.Go(func() { c.open() })
	}
	all.Wait()
}

// run runs until all responses have arrived or the ctx of newGenerator has ended.
func (g *generator) run(ctx context.Context) {
	defer g.end()
	g.begin = time.Now()
	var all sync.WaitGroup
	for _, c := range g.connections {
		for i := range g.Streams {
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

func (g *generator) now() time.Duration { return time.Since(g.begin) }

func (g *generator) locked(f func(now time.Duration)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(g.now())
}

// take returns the time when the next request is due, or the constant never after the last request.
func (g *generator) take() (due time.Duration) {
	g.locked(func(now time.Duration) {
		if due = g.schedule.next(now); due != never {
			g.schedule.start(1)
		}
	})
	return due
}

// pause waits for a short time, and ends the run if no connection has been open for the time limit.
func (g *generator) pause() {
	g.await(g.now() + tick)
	g.locked(func(now time.Duration) {
		if g.open == 0 && now-g.lastOpen > g.Timeout {
			g.end()
		}
	})
}

func (g *generator) await(moment time.Duration) {
	if wait := moment - g.now(); wait > 0 {
		select {
		case <-g.ctx.Done():
		case <-time.After(wait):
		}
	}
}

// wanted reports whether a connection is needed for further requests. holding is true if the caller has reserved a
// request.
func (g *generator) wanted(holding bool) (wanted bool) {
	g.locked(func(now time.Duration) { wanted = g.ctx.Err() == nil && (holding || g.schedule.next(now) != never) })
	return wanted
}

func (g *generator) finished(start time.Duration, status int) {
	g.locked(func(now time.Duration) {
		k := g.counts
		k.record(now - start)
		k.statuses[status]++
		k.finished++
		k.last = now
		if now <= g.schedule.until {
			k.inTime++
		}
	})
}

func (g *generator) failed(failures map[string]int64, reason string) {
	g.locked(func(time.Duration) {
		if g.ctx.Err() == nil {
			failures[reason]++
		}
	})
}

const maxRefusals = 10

var errRefused = errors.New("refused by a server that stops")

type connection struct {
	g       *generator
	mu      sync.Mutex
	session session
	used    atomic.Bool // a request was sent since the session was opened
}

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

// get returns an open session, or nil if no further requests can be sent. get pauses before it reopens a connection
// that was closed before its first request.
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

// send sends requests on c until no further requests are needed. A latency begins when the request was due, or, if c
// was idle at that time, when the request is sent. Each goroutine that sends on c has a different number i, from 0.
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

func (c *connection) request(start time.Duration) {
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
			c.g.finished(start, status)
			return
		case !errors.Is(err, errRefused) || refusals == maxRefusals:
			c.g.failed(c.g.counts.failures, reason(err))
			return
		}
	}
}
