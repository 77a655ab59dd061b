package runtime

import (
	"sync/atomic"
	"time"

	"fapws/runtime/exchange"
)

const (
	// attendEvery is how long a finished part waits at most while its handler, which runs on the loop, makes the next one.
	attendEvery = time.Millisecond

	// attendFor is how many rounds without such a part end the attendance.
	attendFor = 50
)

// attendant sends what a handler that runs on the loop has made, while it makes more. A hundred quick pieces leave
// together then, and a piece before a slow one does not wait for it (PEP 3333).
type attendant struct {
	handler Attended // nil: there is nothing to attend
	awake   atomic.Bool
	call    chan struct{}
}

// look calls the attendant if the handler wants it. On the loop.
func (a *attendant) look() {
	if a.handler != nil && a.handler.WantsAttendance() && a.awake.CompareAndSwap(false, true) {
		a.call <- struct{}{} // there is room: it is not awake
	}
}

// attend is the attendant's goroutine.
func (l *loop) attend() {
	a := &l.attendant
	for {
		select {
		case <-a.call:
		case <-l.ended:
			return
		}
		a.handler.Attend(true)
		for idle := 0; idle < attendFor; idle++ {
			time.Sleep(attendEvery)
			if l.sendMeanwhile() {
				idle = 0
			}
		}
		a.handler.Attend(false)
		l.sendMeanwhile() // parts that were finished before the handler could see that
		a.awake.Store(false)
	}
}

// sendMeanwhile sends finished parts if the handler is at work on the loop, and reports whether there were any. Not on
// the loop.
func (l *loop) sendMeanwhile() (sent bool) {
	if !l.state.TryLock() {
		return false // the loop does its own work, and sends by itself
	}
	defer l.state.Unlock()
	h := l.attendant.handler
	if !h.InTurn() {
		return false // the loop is about to
	}
	defer l.recover()
	var p exchange.Part
	for h.Next(&p) {
		l.deliver(&p)
		sent = true
	}
	l.conns.Flush()
	return sent
}
