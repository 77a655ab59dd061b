package http2

import (
	"slices"
	"strings"
)

// urgencies is the number of urgencies (RFC 9218 §4.1).
const urgencies = 8

// priority says when a stream has its turn among others (RFC 9218).
type priority struct {
	urgency     uint8 // 0 to 7; lower ones first
	incremental bool  // it takes turns with others of its urgency
}

// defaultPriority is that of a request that says nothing. RFC 9218 would have it wait for earlier ones: a long response would hold up
// all that clients without priorities want.
var defaultPriority = priority{urgency: 3, incremental: true}

// parse reads a Priority field: a dictionary (RFC 8941) whose members u and i count. A member that is malformed, or not known, is left out.
func (p *priority) parse(value string) {
	*p = priority{urgency: 3}
	for member := range strings.SplitSeq(value, ",") {
		member, _, _ = strings.Cut(member, ";")
		switch member = strings.Trim(member, " \t"); {
		case len(member) == 3 && member[:2] == "u=" && member[2] >= '0' && member[2] < '0'+urgencies:
			p.urgency = member[2] - '0'
		case member == "i" || member == "i=?1":
			p.incremental = true
		case member == "i=?0":
			p.incremental = false
		}
	}
}

// queue has streams that have something to send, in the order of their turns. They are linked by stream.next.
type queue struct{ first, last *stream }

func (q *queue) push(st *stream) {
	st.next = nil
	if q.first == nil {
		q.first = st
	} else {
		q.last.next = st
	}
	q.last = st
}

// remove takes st out of q.
func (q *queue) remove(st *stream) {
	var before *stream
	for at := q.first; at != nil; before, at = at, at.next {
		if at != st {
			continue
		}
		if before == nil {
			q.first = st.next
		} else {
			before.next = st.next
		}
		if q.last == st {
			q.last = before
		}
		st.next = nil
		return
	}
}

// enqueue gives st turns, if it has something to send and a window for it.
func (c *Conn) enqueue(st *stream) {
	if !st.queued && st.sends() {
		st.queued = true
		c.ready[st.priority.urgency].push(st)
	}
}

// dequeue takes its turns from st.
func (c *Conn) dequeue(st *stream) {
	if st.queued {
		st.queued = false
		c.ready[st.priority.urgency].remove(st)
	}
}

// turn returns the stream whose turn it is, or nil.
func (c *Conn) turn() *stream {
	for i := range c.ready {
		if st := c.ready[i].first; st != nil {
			return st
		}
	}
	return nil
}

// turned ends a turn of st, which has more to send.
func (c *Conn) turned(st *stream) {
	if q := &c.ready[st.priority.urgency]; st.queued && st.priority.incremental && q.last != st {
		q.remove(st)
		q.push(st)
	}
}

// maxExpected is how many streams that are not open yet may have a priority. Browsers send it just before the request.
const maxExpected = 16

// expectedStream is a stream that is not open yet, and its priority.
type expectedStream struct {
	id       uint32
	priority priority
}

// expect keeps the priority of a stream that is not open yet: of too many, the one that came first is dropped.
func (c *Conn) expect(id uint32, p priority) {
	c.expected = slices.DeleteFunc(c.expected, func(e expectedStream) bool { return e.id == id })
	if len(c.expected) >= maxExpected {
		c.expected = slices.Delete(c.expected, 0, 1)
	}
	c.expected = append(c.expected, expectedStream{id, p})
}

// priorityOf returns the priority of a stream that is being opened, whose request says p. What was expected counts more (RFC 9218 §7).
func (c *Conn) priorityOf(id uint32, p priority) priority {
	left := c.expected[:0]
	for _, e := range c.expected {
		switch {
		case e.id == id:
			p = e.priority
		case e.id > id:
			left = append(left, e)
		}
	}
	if c.expected = left; len(left) == 0 {
		c.expected = nil
	}
	return p
}

// reprioritize gives st another priority.
func (c *Conn) reprioritize(st *stream, p priority) {
	c.dequeue(st)
	st.priority = p
	c.enqueue(st)
}
