package runtime

import (
	"time"

	"fapws/runtime/channel"
)

// beats are the listeners by when they get their heartbeats: a slot in each tick,
// so that they do not all come at once.
type beats struct {
	slots [][]*listener
	next  int   // slot of the next listener
	tick  int64 // whose slot was done last
}

var heartbeat = channel.NewText(":\n\n")

func (b *beats) configure(every time.Duration) {
	n := int(max(1, min(int64(every)/tickLength, 1<<14)))
	if b.slots == nil {
		b.slots = make([][]*listener, n)
		return
	}
	var all []*listener
	for _, slot := range b.slots {
		all = append(all, slot...)
	}
	b.slots = make([][]*listener, n)
	for _, p := range all {
		b.add(p)
	}
}

func (b *beats) add(p *listener) {
	b.next = (b.next + 1) % len(b.slots)
	p.slot, p.beat = int16(b.next), int32(len(b.slots[b.next]))
	b.slots[b.next] = append(b.slots[b.next], p)
}

// all yields all listeners, which may be removed meanwhile.
func (b *beats) all(yield func(*listener) bool) {
	for _, slot := range b.slots {
		for i := len(slot) - 1; i >= 0; i-- {
			if !yield(slot[i]) {
				return
			}
		}
	}
}

func (b *beats) remove(p *listener) {
	slot := b.slots[p.slot]
	moved := slot[len(slot)-1]
	slot[p.beat], moved.beat = moved, p.beat
	slot[len(slot)-1] = nil
	b.slots[p.slot] = slot[:len(slot)-1]
}

// ticks returns a time of the loop in ticks, which is below zero before its start.
func ticks(now int64) int32 { return int32(now / tickLength) }

// beat sends heartbeats to those whose time has come and to whom nothing else was
// sent lately.
func (h *channels) beat() {
	b := &h.beats
	now := h.l.now / tickLength
	if h.live == 0 {
		b.tick = now
		return
	}
	b.tick = max(b.tick, now-int64(len(b.slots)))
	recent := ticks(h.l.now - int64(h.cfg.Heartbeat)/2)
	for b.tick < now {
		b.tick++
		slot := &b.slots[b.tick%int64(len(b.slots))]
		for i := len(*slot) - 1; i >= 0; i-- {
			if p := (*slot)[i]; p.state == listenerIdle && p.active < recent {
				h.send(p, heartbeats)
			}
		}
	}
}

var heartbeats = []*channel.Event{heartbeat}
