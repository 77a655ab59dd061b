package conn

import "time"

// balance divides new connections among the processes that share the listeners. A process that runs
// AcceptConfig.Concurrency requests leaves new connections in the queue for the other processes.
//
// If connections are still in the queue after a moment, then either all processes are busy, or
// the clients that connected recently send no requests. The process then accepts the waiting connections anyway: it can
// still serve files, and silent clients must not block other clients.
type balance struct {
	running  int    // number of requests that the application is handling
	expected int    // number of recently accepted connections that have sent no request yet
	epoch    uint32 // incremented whenever the field expected is reset
	waits    bool
	// number of further connections that the process may accept although it is busy
	allowed int
	// next value of the field allowed; doubled after each moment until the queue is empty
	next int
}

const (
	minAllowed = 16
	maxAllowed = 1024
)

// Expected is a token that Expect returns for a connection and that the caller must pass to Arrived. It is 0 if Expect
// did not count the connection.
type Expected uint32

func (a *Acceptor) Expect() Expected {
	b := &a.balance
	if a.cfg.Concurrency == 0 {
		return 0
	}
	b.epoch = max(b.epoch, 1)
	b.expected++
	return Expected(b.epoch)
}

// Arrived must be called once for each result of Expect: when the connection has sent its first request, or when it was
// closed.
func (a *Acceptor) Arrived(e Expected) {
	b := &a.balance
	if e != 0 && uint32(e) == b.epoch {
		b.expected--
		a.Resume()
	}
}

func (a *Acceptor) Occupied(n int) {
	a.balance.running += n
	if n < 0 {
		a.Resume()
	}
}

func (a *Acceptor) Running() int { return a.balance.running }

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
		time.AfterFunc(moment, func() { a.Events.Post(a.left) })
	}
	return true
}

// The method left is called when this process has left connections to other processes for a moment. It permits this
// process to accept some of the connections in the queue.
func (a *Acceptor) left() {
	b := &a.balance
	b.waits = false
	b.epoch++
	b.expected = 0
	b.allowed = max(b.next, minAllowed)
	b.next = min(2*b.allowed, maxAllowed)
	a.Resume()
}

func (b *balance) queueEmpty() { b.allowed, b.next = 0, minAllowed }
