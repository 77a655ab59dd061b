package conn

import (
	"time"
)

// balance divides new connections among processes that share their listeners (AcceptConfig.Concurrency). A process that has as
// many requests as it can run leaves them in the queue, where another one finds them. If they are still there after a
// moment, all processes are busy, or the connections that were expected to bring requests are silent: then it accepts
// them all the same, because it can still serve files, and because the number of silent clients must not matter.
type balance struct {
	running  int    // requests that occupy the application
	expected int    // connections that were accepted lately, and have sent no request yet
	epoch    uint32 // of expected: older connections do not count any more
	waits    bool   // the moment has begun
	allowed  int    // connections that may be accepted all the same
	next     int    // how many there will be the next time, if the queue is not empty before
}

const (
	minAllowed = 16
	maxAllowed = 1024
)

// Expected says whether, and since when, the first request of a connection is expected. The zero value says that it is not.
type Expected uint32

// Expect counts a connection that was just accepted and has sent nothing yet.
func (a *Acceptor) Expect() Expected {
	b := &a.balance
	if a.cfg.Concurrency == 0 {
		return 0
	}
	b.epoch = max(b.epoch, 1)
	b.expected++
	return Expected(b.epoch)
}

// Arrived is for a connection that has sent its first request, or was closed.
func (a *Acceptor) Arrived(e Expected) {
	b := &a.balance
	if e != 0 && uint32(e) == b.epoch {
		b.expected--
		a.Resume()
	}
}

// Occupied counts n more requests that occupy the application.
func (a *Acceptor) Occupied(n int) {
	a.balance.running += n
	if n < 0 {
		a.Resume()
	}
}

// Running returns how many requests occupy the application.
func (a *Acceptor) Running() int { return a.balance.running }

// leavesToOthers reports whether connections in the queue are for other processes now.
func (a *Acceptor) leavesToOthers() bool {
	b := &a.balance
	switch {
	case b.running+b.expected < a.cfg.Concurrency || a.cfg.Concurrency == 0:
		return false
	case b.allowed > 0:
		b.allowed--
		return false
	}
	if !b.waits {
		b.waits = true
		time.AfterFunc(a.cfg.Moment, func() { a.Events.Post(a.left) })
	}
	return true
}

// left is called when connections have been left to others for long enough.
func (a *Acceptor) left() {
	b := &a.balance
	b.waits = false
	b.epoch++
	b.expected = 0
	b.allowed = max(b.next, minAllowed)
	b.next = min(2*b.allowed, maxAllowed)
	a.Resume()
}

// queueEmpty notes that no more connections wait at a listener.
func (b *balance) queueEmpty() { b.allowed, b.next = 0, minAllowed }
