package ctl

import (
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
)

const (
	tick     = 100 * time.Millisecond // how often a generator looks for requests that take too long
	readSize = 64 << 10
)

// generator is an event loop with a share of the connections and of the requests. Its methods must be called on the loop, except
// newGenerator and close.
type generator struct {
	loop     *eventloop.Loop
	target   *target
	address  unix.Sockaddr // of target
	family   int
	schedule schedule
	timer    timer
	conns    []*connection
	idle     ring // connections with room for a request
	epoch    time.Time
	now      time.Duration // since epoch
	in       []byte        // input, of one connection at a time
	counts   counts
	turns    chan struct{} // places of handshakes of TLS, which compute
	phase    phase
	tried    int            // connections that were opened, or could not be
	open     int            // connections that are open
	active   int            // requests that wait for their responses
	refused  []benchRequest // those of active that have to be sent once more
	lastOpen time.Duration  // when there was an open connection
	news     chan<- int     // gets the number of open connections twice: when it is ready to send, and when it has ended
}

type phase uint8

const (
	connecting phase = iota // so that requests need not wait for connections
	ready                   // to send
	sending
	over
)

func newGenerator(t *target, s schedule, connections int, turns chan struct{}, news chan<- int) (*generator, error) {
	loop, err := eventloop.New()
	if err != nil {
		return nil, err
	}
	g := &generator{loop: loop, target: t, schedule: s, idle: ring{conns: make([]*connection, connections)}, in: make([]byte, readSize), counts: newCounts(), turns: turns,
		news: news, epoch: time.Now()}
	g.address, g.family = t.sockaddr()
	if err := g.timer.open(g); err != nil {
		loop.Close()
		return nil, err
	}
	for range connections {
		g.conns = append(g.conns, &connection{g: g, fd: -1})
	}
	return g, nil
}

// connect opens all connections.
func (g *generator) connect() {
	for _, c := range g.conns {
		c.open()
	}
}

// wasTried counts a connection that was opened, or could not be.
func (g *generator) wasTried(c *connection) {
	if c.tried {
		return
	}
	c.tried = true
	if g.tried++; g.tried == len(g.conns) && g.phase == connecting {
		g.become(ready)
	}
}

func (g *generator) become(p phase) {
	g.phase = p
	if p != sending {
		g.news <- g.open
	}
}

// send starts the requests. epoch is the time from which the schedule counts.
func (g *generator) send(epoch time.Time) {
	g.epoch = epoch
	g.clock()
	g.lastOpen = g.now
	g.phase = sending
	for _, c := range g.conns {
		if c.session != nil {
			g.fill(c)
			c.flush()
		}
	}
	g.settle()
}

// clock looks at the time.
func (g *generator) clock() { g.now = time.Since(g.epoch) }

// fill starts requests that are due on c, as many as it has room for, at a time when c may just have become free: those that were due before
// have waited for it.
func (g *generator) fill(c *connection) {
	if g.phase != sending {
		return
	}
	for c.session.room() > 0 {
		if n := len(g.refused); n > 0 {
			r := g.refused[n-1]
			r.sent = g.now
			c.session.start(r)
			g.refused = g.refused[:n-1]
			c.used = true
			continue
		}
		due := g.schedule.next(g.now)
		if due > g.now {
			g.idle.put(c)
			g.timer.set(due)
			return
		}
		g.start(c, due)
	}
}

// wake starts the requests that have become due, at a time when the connections that it uses were free before.
func (g *generator) wake() {
	if g.phase != sending {
		return
	}
	for {
		due := g.schedule.next(g.now)
		if due > g.now {
			g.timer.set(due)
			break
		}
		c := g.idle.take()
		if c == nil {
			break // fill goes on
		}
		if c.session == nil || c.session.room() == 0 {
			continue // it has closed meanwhile
		}
		g.counts.late = max(g.counts.late, g.now-due)
		g.start(c, g.now)
		c.flush()
		if c.session != nil && c.session.room() > 0 {
			g.idle.put(c)
		}
	}
	g.settle()
}

func (g *generator) start(c *connection, since time.Duration) {
	g.schedule.start()
	g.active++
	c.used = true
	c.session.start(benchRequest{since: since, sent: g.now})
}

// benchRequest is one that waits for its response.
type benchRequest struct {
	since    time.Duration // from which its latency counts
	sent     time.Duration
	refusals int // see again
}

// finished counts a response, with the bytes of its head and body.
func (g *generator) finished(r benchRequest, status int, bytes int64) {
	g.active--
	k := &g.counts
	k.record(g.now - r.since)
	k.statuses[status]++
	k.received += bytes
	k.finished++
	k.last = g.now
	if g.schedule.until == 0 || g.now <= g.schedule.until {
		k.inTime++
	}
}

// failed counts requests that get no response.
func (g *generator) failed(n int, reason string) {
	if n > 0 {
		g.active -= n
		g.counts.failures[reason] += int64(n)
	}
}

// maxRefusals limits how often a request is sent once more.
const maxRefusals = 10

const errRefused = "refused by a server that stops"

// again has a request sent once more, on another connection.
func (g *generator) again(r benchRequest) {
	if r.refusals++; r.refusals > maxRefusals {
		g.failed(1, errRefused)
		return
	}
	g.refused = append(g.refused, r)
}

// settle ends the run when the last response has come.
func (g *generator) settle() {
	if g.phase == sending && g.active == 0 && g.schedule.over(g.now) {
		g.end()
	}
}

// end ends the run, at once.
func (g *generator) end() {
	if g.phase == over {
		return
	}
	g.failed(len(g.refused), errRefused)
	end := g.now
	if g.schedule.until > 0 {
		end = min(end, g.schedule.until)
	}
	g.schedule.missed(end, func(due time.Duration) {
		g.counts.unsent++
		g.counts.record(g.now - due)
	})
	g.become(over)
}

// interrupt ends the run before its time, at once.
func (g *generator) interrupt() {
	g.clock()
	if g.schedule.until == 0 || g.now < g.schedule.until {
		g.schedule.until = g.now
	}
	g.end()
}

// tick looks after what takes too long, and opens connections that have failed.
func (g *generator) tick() {
	g.clock()
	if g.open > 0 {
		g.lastOpen = g.now
	}
	for _, c := range g.conns {
		c.tick()
	}
	if g.phase == sending && g.now-g.lastOpen > g.target.timeout {
		if left := g.schedule.left; left > 0 {
			g.counts.failures["not sent: the server keeps no connection"] += left
			g.schedule.left = 0
		}
		g.end()
	}
	g.settle()
}

// close closes the connections and the loop, which has ended.
func (g *generator) close() {
	for _, c := range g.conns {
		c.close()
	}
	g.timer.close()
	_ = g.loop.Close()
}
