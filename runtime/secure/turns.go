package secure

import (
	"sync/atomic"
	"time"
)

// turns lets a few handshakes compute at the same time.
type turns struct{ held chan struct{} }

// longTurn is how long a handshake may compute before another one may, too.
const longTurn = 100 * time.Millisecond

func (t *turns) init(n int) { t.held = make(chan struct{}, n) }

// turn is that of one handshake. It belongs to its goroutine.
type turn struct {
	of    *turns
	has   atomic.Bool
	timer *time.Timer
}

// take waits until the handshake may compute.
func (t *turn) take() {
	t.of.held <- struct{}{}
	t.has.Store(true)
	if t.timer == nil {
		t.timer = time.AfterFunc(longTurn, t.end)
	} else {
		t.timer.Reset(longTurn)
	}
}

// give lets another one compute.
func (t *turn) give() {
	t.timer.Stop()
	t.end()
}

// end ends the turn, once.
func (t *turn) end() {
	if t.has.CompareAndSwap(true, false) {
		<-t.of.held
	}
}
