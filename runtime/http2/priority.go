package http2

import (
	"maps"
	"slices"
	"strings"
)

const urgencies = 8 // RFC 9218 §4.1

// A priority is the priority of a stream (RFC 9218).
type priority struct {
	urgency uint8 // from 0 (most urgent) to 7
	// the stream alternates with other incremental streams of the same urgency
	incremental bool
}

// defaultPriority is the priority of a request without a Priority field. It is incremental, unlike the default of RFC
// 9218, so that a long response does not block other responses to the same client.
var defaultPriority = priority{urgency: 3, incremental: true}

// parse sets p from a Priority field, which is a dictionary (RFC 8941) with the members u and i. parse ignores
// malformed and unknown members.
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

// A sendQueue orders the streams of a connection that can send, by their priorities.
type sendQueue struct {
	// for each urgency, the streams that can send, in the order of their turns
	ready    [urgencies][]*stream
	expected map[uint32]priority // priorities of streams that are not open yet
}

// enqueue gives st a turn if st has output and an open window.
func (q *sendQueue) enqueue(st *stream) {
	hasOutput := st.writing && !st.loading || st.bytes != nil && st.bytes.awaits
	if hasOutput && st.credit > 0 && !st.queued {
		st.queued = true
		list := &q.ready[st.priority.urgency]
		*list = append(*list, st)
	}
}

func (q *sendQueue) dequeue(st *stream) {
	if st.queued {
		st.queued = false
		list := &q.ready[st.priority.urgency]
		at := slices.Index(*list, st)
		*list = slices.Delete(*list, at, at+1)
	}
}

// first returns the stream whose turn it is, or nil if no stream can send.
func (q *sendQueue) first() *stream {
	for i := range q.ready {
		if list := q.ready[i]; len(list) > 0 {
			return list[0]
		}
	}
	return nil
}

// rotate moves st behind the other streams of its urgency if st is incremental.
func (q *sendQueue) rotate(st *stream) {
	if st.priority.incremental {
		q.dequeue(st)
		q.enqueue(st)
	}
}

func (q *sendQueue) reprioritize(st *stream, p priority) {
	q.dequeue(st)
	st.priority = p
	q.enqueue(st)
}

// maxExpected limits the recorded priorities of streams that are not open yet. A small limit is sufficient, because
// browsers send a priority immediately before the request.
const maxExpected = 16

// expect records the priority of a stream that is not open yet. If there are too many priorities, expect drops the
// priority of the stream with the lowest number.
func (q *sendQueue) expect(id uint32, p priority) {
	if q.expected == nil {
		q.expected = make(map[uint32]priority)
	}
	if q.expected[id] = p; len(q.expected) > maxExpected {
		delete(q.expected, slices.Min(slices.Collect(maps.Keys(q.expected))))
	}
}

// priorityOf returns the priority of a new stream. A recorded priority replaces p, the priority in the request
// (RFC 9218 §7).
func (q *sendQueue) priorityOf(id uint32, p priority) priority {
	if expected, ok := q.expected[id]; ok {
		p = expected
	}
	if maps.DeleteFunc(q.expected, func(other uint32, _ priority) bool { return other <= id }); len(q.expected) == 0 {
		q.expected = nil
	}
	return p
}
