package live

import (
	"sync/atomic"
	"time"
)

// The next batch waits for subscribers that are behind with the last one: a
// burst of events is no reason to drop a client that reads as quickly as it can. It waits
// for leastPatience, and longer as far as waits in vain have not used that up: such
// patience comes back by a tenth of the time, so a client that does not read delays
// others by no more than that.
//
// Time is counted in pauses. A pause counts the same however long it takes: on a busy machine clients
// get the processor as late as this process does.
const (
	pause         = 2 * time.Millisecond
	leastPatience = 10 * time.Millisecond
	mostPatience  = 250 * time.Millisecond // at a time
	savedPatience = time.Second
)

// pacer decides when the next batch may begin. It belongs to the loop.
type pacer[S comparable] struct {
	behind map[S]uint32 // subscribers that are behind, with the grace when that began
	young  int          // those of them that have not been waited for in vain
	grace  uint32       // changes when waiting has ended in vain

	waiting bool          // for the young
	pausing *atomic.Bool  // a pause has not ended
	paused  time.Duration // in this wait, in pauses
	budget  time.Duration // of this wait
	saved   time.Duration // patience that is left
	counted time.Time     // when saved was last added to
	least   time.Duration // leastPatience
}

func (p *pacer[S]) init() {
	p.behind, p.least, p.pausing = map[S]uint32{}, leastPatience, new(atomic.Bool)
}

// Lag notes that s is behind, unless it is known.
func (p *pacer[S]) Lag(s S) {
	if _, known := p.behind[s]; !known {
		p.behind[s] = p.grace
		p.young++
	}
}

// CaughtUp ends what Lag began, if it did.
func (p *pacer[S]) CaughtUp(s S) {
	if grace, behind := p.behind[s]; behind {
		delete(p.behind, s)
		if grace == p.grace && p.young > 0 {
			p.young--
		}
	}
}

// Lagging yields the subscribers that are behind, which may catch up or leave meanwhile.
func (p *pacer[S]) Lagging(yield func(S) bool) {
	for s := range p.behind {
		if !yield(s) {
			return
		}
	}
}

// Continue has the loop call Turn if the next batch has waited and needs to wait for no subscriber any more.
func (f *Fanout[S]) Continue() {
	if len(f.backlog) > 0 && f.young == 0 && !f.turning {
		f.turning = true
		f.wake()
	}
}

// waits reports whether the next batch has to wait. The loop is woken when that may have changed.
func (p *pacer[S]) waits(wake func()) bool {
	if p.young == 0 {
		p.waiting = false
		return false
	}
	if p.pausing.Load() {
		return true
	}
	if !p.waiting {
		now := time.Now()
		p.saved = min(p.saved+now.Sub(p.counted)/10, savedPatience)
		p.counted = now
		p.waiting, p.paused, p.budget = true, 0, p.least+min(p.saved, mostPatience)
	}
	if p.paused < p.budget {
		p.paused += pause
		pausing := p.pausing
		pausing.Store(true)
		time.AfterFunc(pause, func() {
			pausing.Store(false)
			wake()
		})
		return true
	}
	p.saved = max(p.saved-max(p.paused-p.least, 0), 0)
	p.giveUp()
	return false
}

// giveUp waits for those that are behind no more, before they have caught up.
func (p *pacer[S]) giveUp() {
	p.young, p.waiting = 0, false
	p.grace++
}
