package http2

import (
	"testing"

	"fapws/runtime/checktest"
)

func TestPriorityFieldIsParsed(t *testing.T) {
	for value, want := range map[string]priority{
		"":               {3, false},
		"u=0":            {0, false},
		"u=7, i":         {7, true},
		"i":              {3, true},
		"i=?0":           {3, false},
		"i, i=?0":        {3, false},
		"u=5;x=1 , i=?1": {5, true},
		"u=8":            {3, false},
		"u=-1, u":        {3, false},
		"u=1,u=2":        {2, false},
		"\xff,,=":        {3, false},
	} {
		var p priority
		p.parse(value)
		checktest.Equalf(t, p, want, "%q", value)
	}
}

// Incremental streams of the same urgency alternate.
func TestStreamsHaveTurnsByUrgency(t *testing.T) {
	q := new(sendQueue)
	streams := map[uint32]*stream{}
	add := func(id uint32, p priority) {
		st := &stream{id: id, priority: p}
		st.writing, st.credit = true, 1
		streams[id] = st
		q.enqueue(st)
	}
	turns := func(n int) (ids []uint32) {
		for range n {
			st := q.first()
			ids = append(ids, st.id)
			q.rotate(st)
		}
		return ids
	}
	is := func(want ...uint32) {
		t.Helper()
		checktest.Equal(t, turns(len(want)), want)
	}
	add(1, defaultPriority)
	add(3, defaultPriority)
	add(5, defaultPriority)
	is(1, 3, 5, 1, 3)
	add(7, priority{urgency: 1})
	add(9, priority{urgency: 1})
	is(7, 7, 7)
	q.dequeue(streams[7])
	is(9, 9)
	q.reprioritize(streams[9], priority{urgency: 5})
	is(5, 1, 3)
	streams[3].credit = 0
	q.dequeue(streams[3])
	q.enqueue(streams[3])
	is(5, 1, 5)
	for _, id := range []uint32{1, 5} {
		q.dequeue(streams[id])
	}
	is(9)
	q.dequeue(streams[9])
	checktest.Truef(t, q.first() == nil, "a stream has a turn")
}

// A client may send a priority before it opens the stream (RFC 9218 §7.1).
func TestPriorityMayPrecedeItsStream(t *testing.T) {
	q := new(sendQueue)
	own, other := priority{urgency: 1}, priority{urgency: 5}
	for id := uint32(1); id < 1001; id += 2 {
		q.expect(id, priority{urgency: 7})
		q.expect(id, own)
	}
	checktest.Equalf(t, len(q.expected), maxExpected, "kept")
	checktest.Equal(t, q.priorityOf(1, other), other)
	p := q.priorityOf(997, other)
	checktest.Truef(t, p == own && len(q.expected) == 1, "%v %v", p, len(q.expected))
	p = q.priorityOf(999, other)
	checktest.Truef(t, p == own && q.expected == nil, "%v %v", p, q.expected)
}
