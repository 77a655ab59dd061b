package app

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

// A Gate limits the active calls of its sources. Requests beyond the limit wait for a place, without a thread and
// outside the handler's queue, so that slow requests of one route do not occupy all threads. A call occupies its place
// until its handler has delivered the last part. The methods of a Gate must be called on the event loop.
type Gate struct {
	most     int
	active   int
	waiting  []*held // in the order of their arrival
	warnings logfile.Seldom
}

func NewGate(most int) *Gate { return &Gate{most: most} }

// Limit is an exchange.Wrap: it makes g limit the calls of source, which must be a Source of this package.
func (g *Gate) Limit(source exchange.Source) exchange.Source {
	source.(*Source).options.Gate = g
	return source
}

const (
	// mostWaiting limits the requests that wait for a place in a Gate; more requests get status 503.
	mostWaiting = 100

	// gateTimeout is the maximum time that a request waits for a place if the source has no timeout.
	gateTimeout = 30 * time.Second
)

// A held is a call that waits for a place in a Gate.
type held struct {
	call    *call
	request exchange.Request
	// pieces of the request body that have arrived while the request waits, at most exchange.InputWindow bytes
	input []exchange.Input
}

// gated reports whether r needs a place in a Gate. A WebSocket needs no place, because it may be open for long and
// occupies no thread.
func gated(r *exchange.Request) bool { return !r.Upgrade && r.Socket == 0 }

// enter reports whether c may start. Otherwise, c waits for a place or, if too many calls wait already, the response is
// 503.
func (g *Gate) enter(c *call, r *exchange.Request) bool {
	switch {
	case g.active < g.most:
		g.active++
		c.placed = true
		return true
	case len(g.waiting) == mostWaiting:
		x := c.x
		drop(r)
		c.source.d.put(c)
		g.refuse(x)
	default:
		waiting := *r
		if r.Stays {
			waiting.Body = nil
		}
		h := &held{call: c, request: waiting.Clone()}
		if r.Stays { // The region belongs to the exchange, which waits, too.
			h.request.Body, h.request.Stays = r.Body, true
		}
		c.work = queued
		c.x.SetSource(c, "")
		c.restart()
		g.waiting = append(g.waiting, h)
	}
	return false
}

// drop closes the file with the body of a request (Request.Spool) that no handler will get.
func drop(r *exchange.Request) {
	if r.Spool >= 0 {
		unix.Close(r.Spool)
	}
}

func (g *Gate) refuse(x *exchange.Exchange) {
	if g.warnings.Once(time.Minute) {
		x.Log(logfile.Warning, fmt.Sprintf("sent 503: requests of its route: %d active, %d waiting (max-active)",
			g.active, len(g.waiting)))
	}
	x.Answer(exchange.Reply{Status: 503, Fields: exchange.RetryAfter, Text: "too many active requests"})
}

// leave frees the place of c. The next call starts after the event loop has polled. Before that, the loop notices
// clients that have disconnected and calls that have waited too long, even if each inline handler occupies the loop.
func (c *call) leave() {
	c.placed = false
	g := c.source.options.Gate
	if g.active--; len(g.waiting) > 0 {
		c.source.d.loop.AfterPoll(g.admit)
	}
}

func (g *Gate) admit() {
	for g.active < g.most && len(g.waiting) > 0 {
		h := g.waiting[0]
		g.waiting = g.waiting[1:]
		g.active++
		h.begin()
	}
}

func (h *held) begin() {
	c, x := h.call, h.call.x
	defer c.source.d.set.Guard(c.x.Conn())
	c.placed, c.work = true, idle
	x.Lend(&h.request, func() { c.source.submit(c, x, &h.request) })
	if x.Source == exchange.Source(c) {
		for _, in := range h.input {
			c.Input(x, in)
		}
	}
}

func (g *Gate) of(c *call) *held {
	return g.waiting[slices.IndexFunc(g.waiting, func(h *held) bool { return h.call == c })]
}

// giveUp removes the waiting call c from its Gate, and returns the exchange, which the caller must end.
func (c *call) giveUp() *exchange.Exchange {
	g, x := c.source.options.Gate, c.x
	drop(&g.of(c).request)
	g.waiting = slices.DeleteFunc(g.waiting, func(h *held) bool { return h.call == c })
	c.source.d.put(c)
	return x
}
