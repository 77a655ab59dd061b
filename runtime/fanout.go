package runtime

import (
	"time"

	"fapws/runtime/pubsub"
)

// fanout gives events to subscribers: a batch of events at a time, and to a slice of their
// subscribers in each turn of the loop, which ends as soon as there is something else to
// do: others do not wait for ten thousand. All subscribers of a batch get all of it before the next one begins: so a
// subscriber of several channels gets events in the order of their numbers, and the number
// of the last one says all of what it has got.
type fanout struct {
	backlog []*pubsub.Event // that is in no batch yet
	batch   []*pubsub.Event
	groups  []group         // of the batch, by channels
	at      int             // the group that is being done
	left    int             // subscribers of it that are left: those in front
	mine    []*pubsub.Event // scratch of what one subscriber gets
	turning bool            // the loop will come back to it
	young   int             // subscribers that have not taken everything for a moment
	grace   uint32          // changes when those are not waited for any more
	until   time.Time       // when that is; zero: nobody is waited for
	waited  time.Time       // when that began last, or has ended in vain
	saved   time.Duration   // patience that was left then
	least   time.Duration   // leastPatience
	begun   time.Time       // when the batch began
}

type group struct {
	of     *pubsub.Channel[*subscriber]
	events []*pubsub.Event
}

const (
	// A batch is as large as fits easily into what the kernel keeps for a
	// subscriber, so that who reads at once is never taken for slow.
	batchBytes  = 16 << 10
	batchEvents = 64

	// sliceMost and sliceTime bound what is done in one turn of the loop. After
	// sliceLeast, it looks whether anything else waits, and again after each sliceLeast
	// more; a batch takes one more for each sliceAge that it is old, or on a
	// busy server it would never end. To look costs a sixteenth of sending.
	sliceMost  = 256
	sliceTime  = 500 * time.Microsecond
	sliceLeast = 4
	sliceAge   = 10 * time.Millisecond

	// The next batch waits for subscribers that have not taken all of the last one: a
	// burst of events is no reason to drop who reads as quickly as it can. It waits
	// for leastPatience, and longer as far as waits in vain have not used that up: such
	// patience comes back by a tenth of the time, so who does not read delays
	// others by no more than that.
	leastPatience = 10 * time.Millisecond
	mostPatience  = 250 * time.Millisecond // at a time
	savedPatience = time.Second
)

// turn does a slice of what there is to do, and sees to it that the loop comes back
// for more when it has looked after all others.
func (h *channels) turn() {
	h.take()
	c := &h.fanout
	c.turning = false
	now := time.Now()
	least := sliceLeast
	if c.batch != nil {
		least = min(sliceLeast+int(now.Sub(c.begun)/sliceAge), sliceMost)
	}
	if !h.step(now.Add(sliceTime), least, sliceMost) {
		return
	}
	c.turning = true
	h.waker.Wake()
}

// step gives events to at most so many subscribers, and after the least to no more
// if the loop has something else to do. more: there is more to do now.
func (h *channels) step(until time.Time, least, most int) (more bool) {
	c := &h.fanout
	for n := 0; n < most; n++ {
		if c.batch == nil {
			if !h.nextBatch() {
				return false
			}
			if c.batch == nil {
				continue // nobody listens to it any more
			}
		}
		if n >= least && n%sliceLeast == 0 && h.l.events.Busy() || n%16 == 15 && time.Now().After(until) {
			return true
		}
		g := &c.groups[c.at]
		// From the last one down: who leaves meanwhile is replaced by one that has
		// had its turn, and who joins comes behind, with nothing to get.
		c.left = min(c.left, len(g.of.Subscribers)) - 1
		if c.left < 0 {
			h.nextGroup()
			continue
		}
		h.give(g.of.Subscribers[c.left], g)
	}
	return true
}

// nextGroup goes on with the next channel of the batch, if there is one.
func (h *channels) nextGroup() {
	c := &h.fanout
	if c.at++; c.at < len(c.groups) {
		c.left = len(c.groups[c.at].of.Subscribers)
		return
	}
	for _, e := range c.batch {
		h.inbox.bytes.Add(-int64(len(e.Text())))
	}
	clear(c.groups)
	clear(c.mine)
	c.batch, c.groups, c.mine = nil, c.groups[:0], c.mine[:0]
}

// nextBatch begins the next batch, unless there is none or subscribers are waited for.
func (h *channels) nextBatch() bool {
	c := &h.fanout
	if len(c.backlog) == 0 || h.awaits() {
		return false
	}
	n, bytes := 0, 0
	for n < len(c.backlog) && n < batchEvents && (n == 0 || bytes+len(c.backlog[n].Text()) <= batchBytes) {
		bytes += len(c.backlog[n].Text())
		n++
	}
	c.batch, c.backlog = c.backlog[:n:n], c.backlog[n:]
	if len(c.backlog) == 0 {
		c.backlog = nil
	}
	for _, e := range c.batch {
		h.sort(e)
	}
	if len(c.groups) == 0 {
		c.at = -1
		h.nextGroup() // all have left
		return true
	}
	c.at, c.left = 0, len(c.groups[0].of.Subscribers)
	c.begun = time.Now()
	return true
}

// sort puts an event to the others of its channel.
func (h *channels) sort(e *pubsub.Event) {
	c := &h.fanout
	for i := range c.groups {
		if g := &c.groups[i]; g.of.Name == e.Name {
			g.events = append(g.events, e)
			return
		}
	}
	if of := h.hub.Of(e.Name); of != nil {
		c.groups = append(c.groups, group{of, []*pubsub.Event{e}})
	}
}

// give lets p have what the batch has for it.
func (h *channels) give(p *subscriber, g *group) {
	c := &h.fanout
	last := c.batch[len(c.batch)-1].Seq
	if p.seq >= last {
		return // it joined after them, or has had its turn as one of another channel
	}
	mine := g.events
	if len(p.subs) > 1 || p.seq >= mine[0].Seq {
		c.mine = c.mine[:0]
		for _, e := range c.batch {
			if e.Seq > p.seq && p.subs.In(e.Name) {
				c.mine = append(c.mine, e)
			}
		}
		mine = c.mine
	}
	p.seq = last
	h.send(p, mine)
}

// awaits says whether the next batch is to wait for subscribers that have not taken
// all of the last one. The loop is woken when it need not any more.
func (h *channels) awaits() bool {
	c := &h.fanout
	if c.young == 0 {
		c.until = time.Time{}
		return false
	}
	now := time.Now()
	if c.until.IsZero() {
		c.saved = min(c.saved+now.Sub(c.waited)/10, savedPatience)
		c.waited = now
		c.until = now.Add(c.least + min(c.saved, mostPatience))
		time.AfterFunc(time.Until(c.until), h.waker.Wake)
		return true
	}
	if now.Before(c.until) {
		return true
	}
	c.saved -= max(now.Sub(c.waited)-c.least, 0)
	c.saved = max(c.saved, 0)
	c.waited = now
	c.young, c.until = 0, time.Time{}
	c.grace++ // those that are still behind are not waited for again before they have caught up
	return false
}

// castAll gives everything to everybody at once, for when there is no later.
func (h *channels) castAll() {
	h.take()
	for c := &h.fanout; c.batch != nil || len(c.backlog) > 0; {
		c.young, c.until = 0, time.Time{}
		c.grace++
		h.step(time.Now().Add(time.Hour), 1<<30, 1<<30)
	}
}
