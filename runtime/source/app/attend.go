package app

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

// attendant sends the finished chunks of a handler that runs on the loop, while the handler makes more. A hundred quick chunks leave
// together then, and a chunk before a slow one does not wait for it (PEP 3333).
type attendant struct {
	handler Attended // nil: none
	awake   atomic.Bool
	call    chan struct{}
}

// look calls the attendant if the handler wants it. On the loop.
func (a *attendant) look() {
	if a.handler != nil && a.handler.WantsAttendance() && a.awake.CompareAndSwap(false, true) {
		a.call <- struct{}{} // there is room: it is not awake
	}
}

// Attend sends finished parts of a handler that runs on the event loop, while the handler makes more. It returns when
// ended is closed, and must be called on a separate goroutine.
func (d *Dispatcher) Attend(ended <-chan struct{}) {
	a := &d.attendant
	for {
		select {
		case <-a.call:
		case <-ended:
			return
		}
		a.handler.Attend(true)
		for idle := 0; idle < attendFor; idle++ {
			time.Sleep(attendEvery)
			if d.sendMeanwhile() {
				idle = 0
			}
		}
		a.handler.Attend(false)
		d.sendMeanwhile() // parts that were finished before the handler could see that
		a.awake.Store(false)
	}
}

// sendMeanwhile sends finished parts if the handler is at work on the loop, and reports whether there were any. Not on
// the loop.
func (d *Dispatcher) sendMeanwhile() (sent bool) {
	if !d.state.TryLock() {
		return false // the loop does its own work, and sends by itself
	}
	defer d.state.Unlock()
	h := d.attendant.handler
	if !h.InTurn() {
		return false // the loop is about to
	}
	defer d.host.Recover()
	var p exchange.Part
	for h.Next(&p) {
		d.deliver(&p)
		sent = true
	}
	d.host.Flush()
	return sent
}
