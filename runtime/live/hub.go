package live

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Subscriber is a subscriber as a Hub knows it, by its Position.
type Subscriber interface {
	Position() *Position

	// Give takes events, at least one. It may end this subscriber, and no other. The slice is valid until it returns.
	Give(events []*Event)
}

// Position is where a subscriber stands: its channels, and how far it has got. The zero value has joined no channel.
type Position struct {
	subs []subscription
	Seq  uint64 // the subscriber was given all events of its channels up to this one
}

type subscription struct {
	of *Channel
	at int32 // its place in the Channel's subscribers
}

// Channel is a channel with subscribers.
type Channel struct {
	Name        string
	Subscribers []Subscriber // one that joins is the last one; one that leaves is replaced by the last one
}

// Hub is all channels, with their subscribers and their kept events.
type Hub struct {
	history
	channels map[string]*Channel
	tip      uint64
	onCount  func(name string, subscribers int) // gets the number of subscribers of a channel when it changes; may be nil
}

// NewHub returns a Hub that has no limits yet: see Limit.
func NewHub() *Hub {
	return &Hub{channels: map[string]*Channel{}, history: history{rings: map[string]*ring{}}}
}

// Limit sets the bounds of the kept events.
func (h *Hub) Limit(limits ChannelLimits) { h.limits = limits }

// Join makes s, which has not joined before, a subscriber of the channels of that name.
func (h *Hub) Join(s Subscriber, names []string) {
	s.Position().subs = make([]subscription, 0, len(names))
	for _, name := range names {
		h.Add(s, name)
	}
}

// Add makes s a subscriber of one more channel, unless it is one already.
func (h *Hub) Add(s Subscriber, name string) {
	p := s.Position()
	if p.In(name) {
		return
	}
	c := h.channels[name]
	if c == nil {
		name = strings.Clone(name) // not the larger string that it may be a part of
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

// Leave takes s out of all its channels.
func (h *Hub) Leave(s Subscriber) {
	p := s.Position()
	for _, sub := range p.subs {
		h.vacate(sub)
	}
	p.subs = nil
}

// Remove takes s out of one channel.
func (h *Hub) Remove(s Subscriber, name string) {
	p := s.Position()
	if i := slices.IndexFunc(p.subs, func(sub subscription) bool { return sub.of.Name == name }); i >= 0 {
		h.vacate(p.subs[i])
		p.subs = slices.Delete(p.subs, i, i+1)
	}
}

// vacate takes one subscriber out of a channel.
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

// Of returns the channel of that name, or nil if it has no subscribers.
func (h *Hub) Of(name string) *Channel { return h.channels[name] }

// Names returns the names of its channels.
func (p *Position) Names() []string {
	names := make([]string, len(p.subs))
	for i := range p.subs {
		names[i] = p.subs[i].of.Name
	}
	return names
}

// In reports whether the subscriber is one of the channel of that name.
func (p *Position) In(name string) bool {
	return slices.ContainsFunc(p.subs, func(sub subscription) bool { return sub.of.Name == name })
}

// Tip is the number of the last event that was taken.
func (h *Hub) Tip() uint64 { return h.tip }

// Take keeps a new event. It returns false if one of that number or a later one
// has been taken: then it is no new one. now is in nanoseconds, from anywhere.
func (h *Hub) Take(e *Event, now int64) bool {
	if e.Seq <= h.tip {
		return false
	}
	h.tip = e.Seq
	h.keep(e, now)
	return true
}

// Restore keeps an event of which another process has been told. It is none that
// subscribers have not been told of: Take may still come with it.
func (h *Hub) Restore(e *Event, now int64) { h.keep(e, now) }

// Hold keeps all events until then, except those above ChannelLimits.Total.
func (h *Hub) Hold(until int64) { h.hold = max(h.hold, until) }

// Complete reports whether all events behind number after are kept, of any channel, as far as they were taken: then Since returns all of its
// channels.
func (h *Hub) Complete(after uint64) bool { return after >= h.lost }

// Since returns all that is kept of events behind number after in the channels of
// that name, by their numbers. While Hold lasts this is more than the limits of a channel.
func (h *Hub) Since(names []string, after uint64) []*Event {
	return h.since(names, after, func(*ring) int { return 0 })
}

// Replay is Since within the limits of each channel, also while Hold lasts. now is as for Take.
func (h *Hub) Replay(names []string, after uint64, now int64) []*Event {
	return h.since(names, after, func(r *ring) int { return h.within(r, now) })
}

// since collects the events of each channel behind number after, from the place on that first returns.
func (h *Hub) since(names []string, after uint64, first func(*ring) int) (events []*Event) {
	for _, name := range names {
		if r := h.rings[name]; r != nil {
			at, _ := find(r.events, after+1)
			events = append(events, r.events[max(at, first(r)):]...)
		}
	}
	if len(names) > 1 {
		slices.SortFunc(events, func(a, b *Event) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	return events
}

// Position returns the number of the event with that id, which a client says it has
// seen last in one of the channels, for Since. An id that is unknown (it is too old, or
// from before the server was started) is 0: the client gets all there is.
//
// The number of an id of this server may be ahead of Tip, by maxAhead: another process was
// quicker. One that is further ahead is made up: no event up to it would be sent.
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
		if n := len(h.all); n > 0 { // of a process that was started later: Restore
			tip = max(tip, h.all[n-1].Seq)
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
func (h *Hub) Kept() []*Event { return slices.Clone(h.all) }

const (
	// MaxName is the length of the longest name of a channel, in bytes.
	MaxName = 128

	// MaxNames is how many channels one subscriber may be of.
	MaxNames = 16
)

// CheckChannelName returns an error of one line unless name can be that of a channel: 1 to MaxName letters and digits of
// ASCII and . _ ~ : / @ -, the first one a letter or digit.
func CheckChannelName(name string) error {
	switch {
	case name == "":
		return errors.New("a channel name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("a channel name has %d bytes; the maximum is %d; it begins with %.40q", len(name), MaxName, name)
	case strings.IndexByte(alphanumeric, name[0]) < 0:
		return fmt.Errorf("a channel name must begin with an ASCII letter or digit: %q", name)
	case strings.Trim(name, alphanumeric+"._~:/@-") != "":
		return fmt.Errorf("a channel name must consist of ASCII letters, digits and . _ ~ : / @ -: %q", name)
	}
	return nil
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// ParseNames reads the value of a field Fapws-Channel: names with commas and
// optional blanks between them (RFC 9110 §5.6.1). A name that comes twice counts
// once. The error is one line.
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
