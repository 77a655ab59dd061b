package runtime

import (
	"time"

	"fapws/runtime/exchange"
)

// balance divides new connections among processes that share their listeners (Config.Concurrency). A process that has as
// many requests as it can run leaves them in the queue, where another one finds them. If they are still there after a
// moment, all processes are busy, or the connections that were expected to bring requests are silent: then it accepts
// them all the same, because it can still serve files, and because the number of silent clients must not matter.
type balance struct {
	moment   time.Duration
	running  int    // requests that occupy the application
	expected int    // connections that were accepted lately, and have sent no request yet
	epoch    uint32 // of expected: older connections do not count any more
	waits    bool   // the moment has begun
	allowed  int    // connections that may be accepted all the same
	next     int    // how many there will be the next time, if the queue is not empty before
}

const (
	// leaveFor is the moment: long enough for a process that is awake or can be woken, short enough for files.
	leaveFor = 100 * time.Millisecond

	minAllowed = 16
	maxAllowed = 1024
)

// leavesToOthers reports whether connections in the queue are for other processes now.
func (l *loop) leavesToOthers() bool {
	b := &l.accepting.balance
	switch {
	case b.running+b.expected < l.cfg.Concurrency || l.cfg.Concurrency == 0:
		return false
	case b.allowed > 0:
		b.allowed--
		return false
	}
	if !b.waits {
		b.waits = true
		time.AfterFunc(b.moment, func() { l.post(l.left) })
	}
	return true
}

// left is called when connections have been left to others for long enough.
func (l *loop) left() {
	b := &l.accepting.balance
	b.waits = false
	b.epoch++
	b.expected = 0
	b.allowed = max(b.next, minAllowed)
	b.next = min(2*b.allowed, maxAllowed)
	l.accepting.Resume()
}

// expect counts c, which was just accepted.
func (l *loop) expect(c *httpConn) {
	b := &l.accepting.balance
	if l.cfg.Concurrency > 0 && c.state == stateNew {
		if b.epoch == 0 {
			b.epoch = 1
		}
		b.expected++
		c.expected = b.epoch
	}
}

// arrived is for a connection that has sent its first request, or was closed.
func (l *loop) arrived(c *httpConn) {
	b := &l.accepting.balance
	if c.expected != 0 && c.expected == b.epoch {
		b.expected--
		l.accepting.Resume()
	}
	c.expected = 0
}

// Occupancy is how long a request occupies the application.
type Occupancy uint8

const (
	// OccupiesNothing is for requests that do not wait for each other.
	OccupiesNothing Occupancy = iota

	// OccupiesUntilHead is until the answer begins. It is for handlers that run on the loop, which asks for the
	// rest of an answer in between.
	OccupiesUntilHead

	// OccupiesUntilEnd is until the whole answer was made, or a WebSocket has begun. It is for handlers that run on threads:
	// a thread that runs a generator can do nothing else.
	OccupiesUntilEnd
)

// endsWith reports whether an exchange with this Occupancy no longer occupies the application after p.
func (o Occupancy) endsWith(p *exchange.Part) bool {
	switch o {
	case OccupiesUntilHead:
		return !p.Interim
	case OccupiesUntilEnd:
		return p.Last || p.First && p.Head.WebSocket
	}
	return false
}

// occupies counts x, which the application was given.
func (l *loop) occupies(x *Exchange, o Occupancy) {
	x.occupies = o
	l.accepting.balance.running++
}

// frees is for x, which no longer occupies the application.
func (l *loop) frees(x *Exchange) {
	x.occupies = OccupiesNothing
	l.accepting.balance.running--
	l.accepting.Resume()
}
