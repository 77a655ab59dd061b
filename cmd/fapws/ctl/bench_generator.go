package ctl

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// tick is the pause before something is tried again.
const tick = 100 * time.Millisecond

// generator has the connections of a run. Each of them has a goroutine for each request that it may have at once.
type generator struct {
	*target
	streams     int // requests at once on a connection
	connections []*connection
	http2       *http2.Transport
	received    atomic.Int64 // bytes
	begin       time.Time
	ctx         context.Context // ends when no response is waited for any more
	end         context.CancelFunc
	due         chan time.Duration // with a rate: of pace

	mu       sync.Mutex // of the fields below
	counts   *counts
	schedule schedule
	pending  bool          // pace has a request that is not handed out
	open     int           // connections
	lastOpen time.Duration // when there was an open connection
}

func newGenerator(t *target, k *counts, o *BenchOptions) *generator {
	g := &generator{target: t, counts: k, streams: o.Streams, begin: time.Now(), schedule: schedule{left: -1, until: o.Duration}, due: make(chan time.Duration)}
	g.ctx, g.end = context.WithCancel(context.Background())
	g.http2 = &http2.Transport{AllowHTTP: true, DisableCompression: true, StrictMaxConcurrentStreams: true, MaxHeaderListSize: maxHead, WriteByteTimeout: o.Timeout}
	if o.Requests > 0 {
		g.schedule.left = o.Requests
	}
	if o.Rate > 0 {
		g.schedule.interval = float64(time.Second) / o.Rate
	}
	for range o.Connections {
		g.connections = append(g.connections, &connection{g: g})
	}
	return g
}

// connect opens all connections, so that requests need not wait for them.
func (g *generator) connect() {
	var all sync.WaitGroup
	for _, c := range g.connections {
		all.Go(func() { c.open() })
	}
	all.Wait()
}

// run sends the requests and returns when the last response has come. stopped: ctx has ended before.
func (g *generator) run(ctx context.Context) (stopped bool) {
	defer g.end()
	g.begin = time.Now()
	var all sync.WaitGroup
	if g.schedule.interval > 0 {
		all.Go(g.pace)
	}
	for _, c := range g.connections {
		for i := range g.streams {
			all.Go(func() { c.send(i) })
		}
	}
	stop := context.AfterFunc(ctx, g.end)
	all.Wait()
	stopped = !stop()
	now := g.now()
	end := now
	if g.schedule.until > 0 {
		end = min(now, g.schedule.until)
	}
	if left := g.schedule.left; left > 0 && !stopped {
		g.counts.failures["not sent: the server keeps no connection"] += left
		g.schedule.left = 0
	}
	g.schedule.missed(end, func(due time.Duration) {
		g.counts.unsent++
		g.counts.record(now - due)
	})
	return stopped
}

// now returns the time since the start.
func (g *generator) now() time.Duration { return time.Since(g.begin) }

// take returns the time when the next request is due. some: there is one.
func (g *generator) take() (due time.Duration, some bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	due = g.schedule.next(g.now())
	if due == never {
		return 0, false
	}
	g.schedule.start()
	g.pending = g.schedule.interval > 0
	return due, true
}

// pace hands out requests when they are due.
func (g *generator) pace() {
	defer close(g.due)
	sleep, done := sleeper(g.ctx)
	defer done()
	for {
		due, some := g.take()
		if !some {
			return
		}
		if wait := due - g.now(); wait > 0 {
			sleep(wait)
		}
		select {
		case g.due <- due:
		case <-g.ctx.Done():
			g.giveBack()
			return
		}
		g.mu.Lock()
		g.pending = false
		g.mu.Unlock()
	}
}

// next is take, but returns when the request is due.
func (g *generator) next() (due time.Duration, some bool) {
	if g.schedule.interval == 0 {
		return g.take()
	}
	if due, some = <-g.due; some && g.schedule.until > 0 && g.now() >= g.schedule.until {
		g.giveBack()
		some = false
	}
	return due, some
}

// giveBack returns a request that cannot be sent.
func (g *generator) giveBack() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.schedule.started--
	if g.schedule.left >= 0 {
		g.schedule.left++
	}
}

// pause returns after a moment. It ends the run if there was no connection for too long.
func (g *generator) pause() {
	select {
	case <-g.ctx.Done():
	case <-time.After(tick):
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == 0 && g.now()-g.lastOpen > g.timeout {
		g.end()
	}
}

// wanted reports whether a connection is needed. holding: for a request that has been taken.
func (g *generator) wanted(holding bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ctx.Err() == nil && (holding || g.pending || g.schedule.next(g.now()) != never)
}

// finished counts a response.
func (g *generator) finished(since time.Duration, status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, now := g.counts, g.now()
	k.record(now - since)
	k.statuses[status]++
	k.finished++
	k.last = now
	if g.schedule.until == 0 || now <= g.schedule.until {
		k.inTime++
	}
}

// failed counts a request without a response.
func (g *generator) failed(reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() == nil {
		g.counts.failures[reason]++
	}
}

// late notes that the generator woke up too late.
func (g *generator) late(by time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.late = max(g.counts.late, by)
}

// opened counts a connection that was opened, or could not be.
func (g *generator) opened(err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.open++
	} else if g.ctx.Err() == nil {
		g.counts.refused[notOpened(err)]++
	}
	return err == nil
}

// lost counts a connection that was closed.
func (g *generator) lost() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	g.lastOpen = g.now()
}

// maxRefusals limits how often a request is sent once more.
const maxRefusals = 10

// errRefused is the error of a request at which the server has not looked.
var errRefused = errors.New("refused by a server that stops")

// connection is opened again when it has failed or was closed.
type connection struct {
	g       *generator
	mu      sync.Mutex
	session session     // nil: it is not open
	used    atomic.Bool // a request was sent since it was opened
}

// open opens c, and reports whether that is done.
func (c *connection) open() bool {
	var err error
	c.used.Store(false)
	c.session, err = c.g.dial()
	return c.g.opened(err)
}

// get returns the session of c, which it opens again if need be; nil: no request can be sent any more. If the server has closed it before
// the first request, there is a pause: such a server must not be hammered. holding: the caller has a request.
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
		c.g.lost()
	}
	for ; c.g.wanted(holding); c.g.pause() {
		if c.open() {
			return c.session
		}
	}
	return nil
}

// send sends requests, one after the other, until the end of the run. Several of a connection are i = 0, 1, 2 and so on.
func (c *connection) send(i int) {
	for c.g.wanted(false) {
		s := c.get(false)
		if s == nil {
			return
		}
		if i >= s.room() {
			c.g.pause()
			continue
		}
		free := c.g.now()
		due, some := c.g.next()
		if !some {
			return
		}
		c.request(due, due > free)
	}
}

// request sends a request that is due, and counts what becomes of it. Its latency counts from the time when it was due, but from that of
// sending if c was free before.
func (c *connection) request(due time.Duration, free bool) {
	since := due
	if free {
		since = c.g.now()
		c.g.late(since - due)
	}
	for refusals := 0; ; refusals++ {
		s := c.get(true)
		if s == nil {
			c.g.giveBack()
			return
		}
		c.used.Store(true)
		status, err := s.request()
		switch {
		case err == nil:
			c.g.finished(since, status)
			return
		case !errors.Is(err, errRefused) || refusals == maxRefusals:
			c.g.failed(reason(err))
			return
		}
	}
}
