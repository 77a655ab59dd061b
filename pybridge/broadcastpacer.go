package pybridge

// #include "shim.h"
import "C"

import (
	"sync/atomic"
	"time"
)

const (
	turnBytes = 64 << 10               // of broadcasts that are sent at once
	turnPause = 100 * time.Microsecond // until there are more

	// A client that is half as far behind as it may be is waited for, in pauses: up to
	// laggardWait at a time, and up to mostPatience for all waits in vain, of which a tenth
	// of the time comes back. A pause counts as laggardPause, however long it took: on a
	// busy machine clients get the processor as late as this process does.
	laggardWait  = 25 * time.Millisecond
	laggardPause = time.Millisecond
	mostPatience = 500 * time.Millisecond
)

// broadcastPacer is how quickly broadcasts go out: so that clients who read as quickly as they can
// are not closed because of a burst, and those who do not hold up others by no more than a tenth.
type broadcastPacer struct {
	most    int64          // bytes that a client may be behind
	resting atomic.Bool    // until the loop is woken
	slow    []*groupMember // that are much behind
	waited  time.Duration  // for them, in pauses
	spent   time.Duration  // on waits in vain
	counted time.Time      // until when spent has been forgiven
}

// rest makes the loop come back later.
func (p *broadcastPacer) rest(pause time.Duration) {
	p.resting.Store(true)
	time.AfterFunc(pause, func() {
		p.resting.Store(false)
		C.fapws_wake_loop()
	})
}

// behind says how many bytes m has yet to get.
func (m *groupMember) behind() int64 { return atomic.LoadInt64((*int64)(&m.rec.unacked)) }

// watch notes m if it is much behind.
func (p *broadcastPacer) watch(m *groupMember) {
	if !m.slow && m.behind() > p.most/2 {
		m.slow = true
		p.slow = append(p.slow, m)
	}
}

// waits reports whether clients are to be waited for, for one more laggardPause.
func (p *broadcastPacer) waits(now time.Time) bool {
	still := p.slow[:0]
	for _, m := range p.slow {
		if m.slow = !m.over && m.behind() > p.most/2; m.slow {
			still = append(still, m)
		}
	}
	clear(p.slow[len(still):])
	p.slow = still
	p.spent = max(0, p.spent-now.Sub(p.counted)/10)
	p.counted = now
	if len(p.slow) == 0 {
		p.waited = 0
		return false
	}
	if p.waited < laggardWait && p.spent+p.waited+laggardPause <= mostPatience {
		p.waited += laggardPause
		return true
	}
	p.spent += p.waited
	p.waited = 0
	return false
}
