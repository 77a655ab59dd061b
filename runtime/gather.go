package runtime

import "context"

// gather puts off the pump to the end of what one wait of gnet has brought:
// the handler then gets all requests at once, one wake-up or one crossing for
// the lot, and the responses leave one after the other, which wakes a client
// once instead of for each. Measured with 64 connections: 0.9 µs less CPU a
// request inline, 2.9 µs less with threads, and lower latency in both.
//
// gnet has no hook there, but it runs the tasks of the loop after the events
// of the next wait. A task costs a system call and that wait, so a connection
// that is alone is served at once.
type gather struct {
	loop   *loop
	posted bool
	events int // since the last pump
	taken  int // requests submitted since the last pump
	solo   int // pumps in a row that found one event
}

const (
	// gatherMost is how many requests are worth gathering: more of them
	// push each other out of the processor's cache, and out of the queue.
	gatherMost = 256

	soloAfter = 8  // pumps with one event, then none is put off
	soloProbe = 32 // ... but for one in so many, to see whether company has come
)

// later says whether the pump is put off. The loop calls it for each event.
func (g *gather) later() bool {
	g.events++
	if g.taken >= gatherMost {
		return false
	}
	if g.posted {
		return true
	}
	if g.solo >= soloAfter {
		g.solo++
		if g.solo%soloProbe != 0 {
			g.events = 0
			return false
		}
	}
	g.posted = g.loop.wake.conn.EventLoop().Execute(context.Background(), g) == nil
	return g.posted
}

// Run implements gnet.Runnable: the pump that was put off.
func (g *gather) Run(context.Context) error {
	defer g.loop.recovered(nil)
	if g.events > 1 {
		g.solo = 0
	} else {
		g.solo++
	}
	g.posted, g.events = false, 0
	g.loop.pump()
	g.loop.lullInTask()
	return nil
}
