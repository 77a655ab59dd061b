package pubsub

import (
	"cmp"
	"slices"
	"strings"
)

// Subscriber is what a Hub knows of a subscriber: where it keeps its subs.
type Subscriber[L any] interface{ Subscriptions() *Subscriptions[L] }

// Subscriptions are the channels that a subscriber is of. The zero value is of none.
type Subscriptions[L any] []subscription[L]

type subscription[L any] struct {
	of *Channel[L]
	at int32 // its place in the Channel's subscribers
}

// Channel is a channel with subscribers.
type Channel[L any] struct {
	Name        string
	Subscribers []L // who joins is the last one; who leaves is replaced by the last one
}

// Hub is all channels: who listens to them, and what is kept of their events.
type Hub[L Subscriber[L]] struct {
	history
	channels map[string]*Channel[L]
	tip      uint64
}

// NewHub returns a Hub that has no limits yet: see Limit.
func NewHub[L Subscriber[L]]() *Hub[L] {
	return &Hub[L]{channels: map[string]*Channel[L]{}, history: history{rings: map[string]*ring{}}}
}

// Limit sets what is kept of events.
func (h *Hub[L]) Limit(limits Limits) { h.limits = limits }

// Join makes l a subscriber of the channels of that name, each of which it names
// once. It has not joined before.
func (h *Hub[L]) Join(l L, names []string) {
	subs := make(Subscriptions[L], len(names))
	for i, name := range names {
		c := h.channels[name]
		if c == nil {
			name = strings.Clone(name) // not what it may be a part of
			c = &Channel[L]{Name: name}
			h.channels[name] = c
		}
		subs[i] = subscription[L]{c, int32(len(c.Subscribers))}
		c.Subscribers = append(c.Subscribers, l)
	}
	*l.Subscriptions() = subs
}

// Leave takes l out of its channels.
func (h *Hub[L]) Leave(l L) {
	for _, s := range *l.Subscriptions() {
		c := s.of
		end := len(c.Subscribers) - 1
		moved := c.Subscribers[end]
		c.Subscribers[s.at] = moved
		for i, other := range *moved.Subscriptions() {
			if other.of == c {
				(*moved.Subscriptions())[i].at = s.at
			}
		}
		var none L
		c.Subscribers[end] = none
		c.Subscribers = c.Subscribers[:end]
		switch {
		case end == 0:
			delete(h.channels, c.Name)
		case cap(c.Subscribers) > 64 && end < cap(c.Subscribers)/4:
			c.Subscribers = append(make([]L, 0, end*2), c.Subscribers...)
		}
	}
	*l.Subscriptions() = nil
}

// Of returns the channel of that name, or nil if nobody listens to it.
func (h *Hub[L]) Of(name string) *Channel[L] { return h.channels[name] }

// Count returns how many listen to a channel.
func (h *Hub[L]) Count(name string) int {
	if c := h.channels[name]; c != nil {
		return len(c.Subscribers)
	}
	return 0
}

// Channels calls f for each channel with subscribers.
func (h *Hub[L]) Channels(f func(*Channel[L])) {
	for _, c := range h.channels {
		f(c)
	}
}

// Names returns the names of the channels of s.
func (s Subscriptions[L]) Names() []string {
	names := make([]string, len(s))
	for i := range s {
		names[i] = s[i].of.Name
	}
	return names
}

// In says whether s has a subscription in the channel of that name.
func (s Subscriptions[L]) In(name string) bool {
	for i := range s {
		if s[i].of.Name == name {
			return true
		}
	}
	return false
}

// Tip is the number of the last event that was taken.
func (h *Hub[L]) Tip() uint64 { return h.tip }

// Take keeps a new event. It returns false if one of that number or a later one
// has been taken: then it is no new one. now is in nanoseconds, from anywhere.
func (h *Hub[L]) Take(e *Event, now int64) bool {
	if e.Seq <= h.tip {
		return false
	}
	h.tip = e.Seq
	h.keep(e, now)
	return true
}

// Restore keeps an event of which another process has been told. It is none that
// subscribers have not been told of: Take may still come with it.
func (h *Hub[L]) Restore(e *Event, now int64) { h.keep(e, now) }

// Hold lets nothing be forgotten until then, except what is beyond Limits.Total.
func (h *Hub[L]) Hold(until int64) { h.hold = max(h.hold, until) }

// Expire forgets what is too old. It is to be called now and then.
func (h *Hub[L]) Expire(now int64) { h.expire(now) }

// Since returns all that is kept of events behind number after in the channels of
// that name, by their numbers. While Hold lasts this is more than the limits of a channel.
func (h *Hub[L]) Since(names []string, after uint64) []*Event {
	return h.since(names, after, func(*ring) *Event { return nil })
}

// Replay is Since within the limits of each channel, also while Hold lasts. now is as for Take.
func (h *Hub[L]) Replay(names []string, after uint64, now int64) []*Event {
	return h.since(names, after, func(r *ring) *Event { return h.beyond(r, now) })
}

// since collects the events of each channel behind number after and behind the event that
// end returns.
func (h *Hub[L]) since(names []string, after uint64, end func(*ring) *Event) (events []*Event) {
	for _, name := range names {
		r := h.rings[name]
		if r == nil {
			continue
		}
		from, last := len(events), end(r)
		for e := r.newst; e != last && e.Seq > after; e = e.older {
			events = append(events, e)
		}
		slices.Reverse(events[from:])
	}
	if len(names) > 1 {
		slices.SortFunc(events, func(a, b *Event) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	return events
}

// Position returns the number of the event with that id, which a client says it has
// seen last in one of the channels, for Since. An id that nobody knows (it is too old, or
// from before the server was started) is 0: the client gets all there is.
//
// The number of an id of this server may be ahead of Tip, by maxAhead: another process was
// quicker. One that is further ahead is made up: no event up to it would be sent.
func (h *Hub[L]) Position(names []string, id, epoch string) (seq uint64) {
	for _, name := range names {
		if r := h.rings[name]; r != nil {
			for e := r.newst; e != nil && e.Seq > seq; e = e.older {
				if e.ID == id {
					seq = e.Seq
				}
			}
		}
	}
	if seq == 0 {
		seq, _ = ParseID(epoch, id)
		tip := h.tip
		if h.last != nil { // of a process that was started later: Restore
			tip = max(tip, h.last.Seq)
		}
		if seq > tip && seq-tip > maxAhead {
			seq = 0
		}
	}
	return seq
}

// maxAhead bounds how many events a process of a server may be ahead of another: more than
// can wait to be sent.
const maxAhead = 1 << 20

// Kept returns all events that are kept, by their numbers.
func (h *Hub[L]) Kept() (events []*Event) {
	for e := h.first; e != nil; e = e.next {
		events = append(events, e)
	}
	return events
}
