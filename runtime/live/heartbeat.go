package live

import (
	"time"

	"fapws/runtime/eventloop"
)

// heartbeatSchedule has the subscribers by when they get their heartbeats: a slot in each tick,
// so that they do not all come at once.
type heartbeatSchedule struct {
	slots [][]*StreamSubscriber
	next  int   // slot of the next subscriber
	tick  int64 // whose slot was done last
}

var heartbeat = NewText(":\n\n")

func (b *heartbeatSchedule) configure(every time.Duration) {
	n := int(max(1, min(int64(every)/eventloop.Tick, 1<<14)))
	if b.slots == nil {
		b.slots = make([][]*StreamSubscriber, n)
		return
	}
	var all []*StreamSubscriber
	for _, slot := range b.slots {
		all = append(all, slot...)
	}
	b.slots = make([][]*StreamSubscriber, n)
	for _, p := range all {
		b.add(p)
	}
}

func (b *heartbeatSchedule) add(p *StreamSubscriber) {
	b.next = (b.next + 1) % len(b.slots)
	p.slot, p.beat = int16(b.next), int32(len(b.slots[b.next]))
	b.slots[b.next] = append(b.slots[b.next], p)
}

// all yields all subscribers, which may be removed meanwhile.
func (b *heartbeatSchedule) all(yield func(*StreamSubscriber) bool) {
	for _, slot := range b.slots {
		for i := len(slot) - 1; i >= 0; i-- {
			if !yield(slot[i]) {
				return
			}
		}
	}
}

func (b *heartbeatSchedule) remove(p *StreamSubscriber) {
	slot := b.slots[p.slot]
	moved := slot[len(slot)-1]
	slot[p.beat], moved.beat = moved, p.beat
	slot[len(slot)-1] = nil
	b.slots[p.slot] = slot[:len(slot)-1]
}

// ticks returns a time of the loop in ticks, which is below zero before its start.
func ticks(now int64) int32 { return int32(now / eventloop.Tick) }

// beat sends heartbeats to those whose time has come and to whom nothing else was
// sent lately.
func (s *Subscribers) beat() {
	b := &s.heartbeats
	now := s.host.Now() / eventloop.Tick
	if s.live == 0 {
		b.tick = now
		return
	}
	b.tick = max(b.tick, now-int64(len(b.slots)))
	recent := ticks(s.host.Now() - int64(s.cfg.Heartbeat)/2)
	for b.tick < now {
		b.tick++
		slot := &b.slots[b.tick%int64(len(b.slots))]
		for i := len(*slot) - 1; i >= 0; i-- {
			if p := (*slot)[i]; p.state == idle && p.active < recent {
				s.send(p, oneHeartbeat)
			}
		}
	}
}

var oneHeartbeat = []*Event{heartbeat}
