package live

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

type Subscriber interface {
	Position() *Position

	// Give passes one or more events to the subscriber. Give may disconnect this subscriber, but no other one. The
	// slice is valid only until Give returns.
	Give(events []*Event)
}

// Position contains the channels of a subscriber, and the number of the last event that the subscriber received.
type Position struct {
	subs []subscription
	// the subscriber has received all events of its channels up to this number
	Seq uint64
}

type subscription struct {
	of *Channel
	at int32
}

type Channel struct {
	Name string
	// Join appends a subscriber to Subscribers. When a subscriber leaves, the last one moves into the free place.
	Subscribers []Subscriber
}

type Hub struct {
	history
	channels map[string]*Channel
	tip      uint64
	// called when the number of subscribers of a channel has changed; may be nil
	onCount func(name string, subscribers int)
}

func NewHub() *Hub {
	return &Hub{channels: map[string]*Channel{}, history: history{rings: map[string]*ring{}}}
}

func (h *Hub) Limit(limits ChannelLimits) { h.limits = limits }

// Join makes s a subscriber of the channels in names. s must not be a subscriber of any channel yet.
func (h *Hub) Join(s Subscriber, names []string) {
	s.Position().subs = make([]subscription, 0, len(names))
	for _, name := range names {
		h.Add(s, name)
	}
}

func (h *Hub) Add(s Subscriber, name string) {
	p := s.Position()
	if p.In(name) {
		return
	}
	c := h.channels[name]
	if c == nil {
		// a part of a larger string would keep the whole string in memory
		name = strings.Clone(name)
		c = &Channel{Name: name}
		h.channels[name] = c
	}
	p.subs = append(p.subs, subscription{c, int32(len(c.Subscribers))})
	c.Subscribers = append(c.Subscribers, s)
	h.changed(c)
}

func (h *Hub) changed(c *Channel) {
	if h.onCount != nil {
		h.onCount(c.Name, len(c.Subscribers))
	}
}

func (h *Hub) Leave(s Subscriber) {
	p := s.Position()
	for _, sub := range p.subs {
		h.vacate(sub)
	}
	p.subs = nil
}

func (h *Hub) Remove(s Subscriber, name string) {
	p := s.Position()
	if i := slices.IndexFunc(p.subs, func(sub subscription) bool { return sub.of.Name == name }); i >= 0 {
		h.vacate(p.subs[i])
		p.subs = slices.Delete(p.subs, i, i+1)
	}
}

func (h *Hub) vacate(sub subscription) {
	c := sub.of
	end := len(c.Subscribers) - 1
	moved := c.Subscribers[end]
	c.Subscribers[sub.at] = moved
	for i, other := range moved.Position().subs {
		if other.of == c {
			moved.Position().subs[i].at = sub.at
		}
	}
	c.Subscribers[end] = nil
	c.Subscribers = c.Subscribers[:end]
	switch {
	case end == 0:
		delete(h.channels, c.Name)
	case cap(c.Subscribers) > 64 && end < cap(c.Subscribers)/4:
		c.Subscribers = append(make([]Subscriber, 0, end*2), c.Subscribers...)
	}
	h.changed(c)
}

func (h *Hub) Channel(name string) *Channel { return h.channels[name] }

func (p *Position) Names() []string {
	names := make([]string, len(p.subs))
	for i := range p.subs {
		names[i] = p.subs[i].of.Name
	}
	return names
}

func (p *Position) In(name string) bool {
	return slices.ContainsFunc(p.subs, func(sub subscription) bool { return sub.of.Name == name })
}

func (h *Hub) Tip() uint64 { return h.tip }

// Take stores e in the history. If Take has already stored an event with the same or a larger number, it returns false
// and does nothing. now is a time in nanoseconds since any fixed start.
func (h *Hub) Take(e *Event, now int64) bool {
	if e.Seq <= h.tip {
		return false
	}
	h.tip = e.Seq
	h.keep(e, now)
	return true
}

// Restore stores an event of another process in the history. Unlike Take, Restore does not advance Tip: if Take gets
// the same event later, subscribers still receive it.
func (h *Hub) Restore(e *Event, now int64) { h.keep(e, now) }

// Hold keeps all events, up to ChannelLimits.Total. The hold ends at the time deadline.
func (h *Hub) Hold(deadline int64) { h.hold = max(h.hold, deadline) }

// Complete reports whether the history of every channel still contains all events with numbers above seq.
func (h *Hub) Complete(seq uint64) bool { return seq >= h.lost }

// Since returns the stored events of the channels in names with numbers above seq, sorted by number.
func (h *Hub) Since(names []string, seq uint64) []*Event {
	return h.since(names, seq, func(*ring) int { return 0 })
}

// Replay returns the same events as Since, but applies the limits of each channel even during Hold.
func (h *Hub) Replay(names []string, seq uint64, now int64) []*Event {
	return h.since(names, seq, func(r *ring) int { return h.within(r, now) })
}

// since implements Since and Replay. For each channel, it skips the events before the index that first returns.
func (h *Hub) since(names []string, seq uint64, first func(*ring) int) (events []*Event) {
	for _, name := range names {
		if r := h.rings[name]; r != nil {
			at, _ := find(r.events, seq+1)
			events = append(events, r.events[max(at, first(r)):]...)
		}
	}
	if len(names) > 1 {
		slices.SortFunc(events, func(a, b *Event) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	return events
}

// Position returns the number of the event with the given id, the value of Last-Event-ID. Position returns 0 for an
// unknown id, for example if the event is too old or if the server was restarted.
//
// The id may be from another process that has already published more events, so its number may exceed Tip, but only by
// maxAhead. A larger number is invalid, because the client would get no event until the server has reached this number.
func (h *Hub) Position(names []string, id, epoch string) (seq uint64) {
	for _, name := range names {
		if r := h.rings[name]; r != nil {
			for _, e := range r.events {
				if e.ID == id {
					seq = max(seq, e.Seq)
				}
			}
		}
	}
	if seq == 0 {
		seq, _ = ParseID(epoch, id)
		tip := h.tip
		// A new process got its first events from Restore, and Restore does not advance Tip.
		if last := h.all.Back(); last != nil {
			tip = max(tip, last.Value.(*Event).Seq)
		}
		if seq > tip && seq-tip > maxAhead {
			seq = 0
		}
	}
	return seq
}

// maxAhead is the maximum number of events that one process may have published and another process has not received
// yet. maxAhead must be larger than the number of events that can wait to be sent.
const maxAhead = 1 << 20

func (h *Hub) Kept() (events []*Event) {
	for e := h.all.Front(); e != nil; e = e.Next() {
		events = append(events, e.Value.(*Event))
	}
	return events
}

const (
	MaxName = 128 // in bytes

	MaxNames = 16
)

// CheckChannelName returns a one-line error unless name is a valid channel name: 1 to MaxName ASCII letters, digits and
// the characters . _ ~ : / @ -, of which the first must be a letter or a digit.
func CheckChannelName(name string) error {
	switch {
	case name == "":
		return errors.New("a channel name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("a channel name has %d bytes; the maximum is %d; it begins with %.40q", len(name), MaxName,
			name)
	case strings.IndexByte(alphanumeric, name[0]) < 0:
		return fmt.Errorf("a channel name must begin with an ASCII letter or digit: %q", name)
	case strings.Trim(name, alphanumeric+"._~:/@-") != "":
		return fmt.Errorf("a channel name must consist of ASCII letters, digits and . _ ~ : / @ -: %q", name)
	}
	return nil
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// ParseNames parses the value of a field Fapws-Channel: names separated by commas and optional blanks (RFC 9110
// §5.6.1). The result contains each name once; the error has one line.
func ParseNames(list string) (names []string, err error) {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.Trim(one, " \t")
		if err := CheckChannelName(one); err != nil {
			return nil, err
		}
		if !slices.Contains(names, one) {
			if len(names) == MaxNames {
				return nil, fmt.Errorf("more than %d channels for one subscriber", MaxNames)
			}
			names = append(names, one)
		}
	}
	return names, nil
}
