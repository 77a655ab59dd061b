package runtime

import (
	"time"

	"fapws/runtime/eventloop"
)

const (
	// tickLength is how often the loop looks at deadlines, in nanoseconds.
	tickLength = eventloop.Tick

	// quietAfter is how long the server must have had no connection until it
	// counts as idle: clients that come one by one do not end its work.
	quietAfter = 100 * time.Millisecond
)

// tick makes the loop look at the time, as long as there are connections: an
// idle server does nothing at all.
func (s *Server) tick() {
	l := s.loop
	ticker := time.NewTicker(time.Duration(tickLength))
	defer ticker.Stop()
	for {
		ticker.Stop()
		select {
		case <-l.idle:
		case <-l.ended:
			return
		}
		looks := 1 // a handler that runs inline is looked at twice a tick: the first look notices that it runs
		if l.limited.Load() {
			looks = 2
		}
		ticker.Reset(time.Duration(tickLength) / time.Duration(looks))
		for look := 1; l.live.Load() > 0 || l.owed.Load() > 0; look++ {
			select {
			case <-ticker.C:
			case <-l.emptied:
				if !l.sleep(quietAfter) {
					return
				}
				continue
			case <-l.ended:
				return
			}
			if l.live.Load() == 0 && l.owed.Load() == 0 {
				break
			}
			if look%looks == 0 && l.ticking.CompareAndSwap(false, true) { // one is enough while the loop is held up
				l.post(l.ticked)
			}
			l.app.Stalled()
		}
		if s.onIdle != nil {
			s.onIdle()
		}
	}
}

// sleep waits; false: the loop has ended. Not on the loop.
func (l *loop) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-l.ended:
		return false
	}
}

// now returns the loop's time: nanoseconds since it was made, at most tickLength late.
func (l *loop) now() int64 { return l.conns.Now() }

// clock sets the loop's time.
func (l *loop) clock(t time.Time) {
	l.conns.SetTime(t)
	l.http.Heads.SetTime(l.conns.Unix())
}

// ticked looks at the connections whose time may have come.
func (l *loop) ticked() {
	l.ticking.Store(false)
	before := l.now()
	l.clock(time.Now())
	switch late := l.now() - before - tickLength; {
	case late > tickLength:
		l.heldUp(before)
	case late > tickLength/8:
		l.restamp(before)
	}
	l.sites.Tick()
	l.app.Tick()
	l.dismiss()
	l.owed.Store(int64(l.app.Owed()))
	if l.pages != nil {
		l.pages.Tick()
	}
	l.subscribers.Tick()
	l.sockets.Expire()
	l.conns.Tick()
	l.accepting.Resume() // a handshake may be old enough to be cut off for another client
}

// restamp corrects the stamps since the last tick, which were made by its time: where this tick is late, they are older
// than the tick that deadlines allow for.
func (l *loop) restamp(last int64) { l.conns.Restamp(last, l.now()-tickLength) }

// heldUp forgives what a handler that runs inline has kept the loop from
// seeing: stamps since then are as old as the tick before it.
func (l *loop) heldUp(since int64) {
	l.conns.Restamp(since, l.now())
	l.app.ExcludeBlockedTime(l.now() - since)
	l.subscribers.ExcludeBlockedTime()
}
