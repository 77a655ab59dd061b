package runtime

import (
	"fmt"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
	"fapws/runtime/netio"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// wake is how others get the loop out of its sleep, and the end of a socketpair by which the application's
// signals come.
type wake struct {
	l       *loop
	watch   eventloop.Watch
	signals int // our end of the socketpair
	theirs  exchange.Waker
}

// open makes the socketpair.
func (w *wake) open(l *loop) error {
	fds, err := system.SocketpairNonblock()
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	w.l, w.signals, w.theirs = l, fds[0], l.conns.Events.Waker()
	w.theirs.Signals = fds[1]
	return nil
}

func (w *wake) close() {
	unix.Close(w.signals)
	unix.Close(w.theirs.Signals)
}

// woken takes the published events and messages, before later subscribers join, and sends the parts that the application
// has finished, before new requests are read and before a tick looks at the time.
func (l *loop) woken() {
	if l.debug >= 2 {
		l.tracef("woken by the application")
	}
	l.takePublished()
	l.app.Wake()
	l.flushBatch()
}

// Ready implements eventloop.Handler: signals for the application have come.
func (w *wake) Ready(eventloop.Readiness) {
	l := w.l
	var b [64]byte
	n, err := netio.Receive(w.signals, b[:])
	if n == 0 || err != nil && err != unix.EAGAIN { // the script has closed a descriptor of the server
		w.watch.Remove()
		l.s.logf(loglevel.Error, "signal handlers of the application will not run: their socket was closed")
		return
	}
	if n == len(b) {
		w.watch.Again()
	}
	for _, signal := range b[:max(n, 0)] {
		if signal != 0 {
			l.app.Signalled()
			break
		}
	}
	l.app.Wake()
}
