package runtime

import (
	"time"

	"fapws/runtime/protocol/http1"
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
func (l *loop) expect(c *client) {
	b := &l.accepting.balance
	if l.cfg.Concurrency > 0 && c.State() == http1.StateNew {
		if b.epoch == 0 {
			b.epoch = 1
		}
		b.expected++
		c.expected = b.epoch
	}
}

// arrived is for a connection that has sent its first request, or was closed.
func (l *loop) arrived(c *client) {
	b := &l.accepting.balance
	if c.expected != 0 && c.expected == b.epoch {
		b.expected--
		l.accepting.Resume()
	}
	c.expected = 0
}

// occupied counts n more requests that occupy the application.
func (l *loop) occupied(n int) {
	l.accepting.balance.running += n
	if n < 0 {
		l.accepting.Resume()
	}
}
