package http2

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/net/http2"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
)

func TestFilesAreSentAndTruncatedFilesResetTheirStream(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 24})
	p.framer.WriteWindowUpdate(0, 1<<24)
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	name := t.TempDir() + "/file"
	checktest.Must(t, os.WriteFile(name, content, 0o600))
	id := uint32(1)
	for _, warm := range []int64{0, 1 << 20} {
		for _, c := range []struct{ offset, count int64 }{{0, 1 << 20}, {5, 100_000}, {1<<20 - 7, 7}, {1<<20 - 7, 8}} {
			f := checktest.Try(os.Open(name)).Must(t)
			p.request(id, "/later", true)
			h.waitHeld(int(id+1) / 2)
			h.Do(func() {
				h.Held[len(h.Held)-1].Sink.Send(&exchange.Part{
					First: true, End: exchange.Complete, Head: exchange.Head{Status: 200, Length: c.count},
					File: &exchange.File{FD: int(f.Fd()), Offset: c.offset, Count: c.count, Warm: warm},
				})
			})
			want := "200 " + string(content[c.offset:min(c.offset+c.count, 1<<20)])
			if c.offset+c.count > 1<<20 {
				want += "!INTERNAL_ERROR"
			}
			p.is(id, want)
			h.Do(func() { f.Close() })
			id += 2
		}
	}
}

func TestPriorityFieldIsParsed(t *testing.T) {
	for value, want := range map[string]priority{
		"":               {3, false},
		"u=0":            {0, false},
		"u=7, i":         {7, true},
		"i":              {3, true},
		"i=?0":           {3, false},
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
	c := new(Conn)
	streams := map[uint32]*stream{}
	add := func(id uint32, p priority) {
		st := &stream{c: c, id: id, priority: p}
		st.writing, st.credit = true, 1
		streams[id] = st
		c.enqueue(st)
	}
	turns := func(n int) (ids []uint32) {
		for range n {
			st := c.turn()
			ids = append(ids, st.id)
			c.turned(st)
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
	c.dequeue(streams[7])
	is(9, 9)
	c.reprioritize(streams[9], priority{urgency: 5})
	is(5, 1, 3)
	streams[3].credit = 0
	c.dequeue(streams[3])
	c.enqueue(streams[3])
	is(5, 1, 5)
	for _, id := range []uint32{1, 5} {
		c.dequeue(streams[id])
	}
	is(9)
	c.dequeue(streams[9])
	checktest.Truef(t, c.turn() == nil, "a stream has a turn")
}

// A client may send a priority before it opens the stream (RFC 9218 §7.1).
func TestPriorityMayPrecedeItsStream(t *testing.T) {
	c := new(Conn)
	own, other := priority{urgency: 1}, priority{urgency: 5}
	for id := uint32(1); id < 1001; id += 2 {
		c.expect(id, priority{urgency: 7})
		c.expect(id, own)
	}
	checktest.Equalf(t, len(c.expected), maxExpected, "kept")
	checktest.Equal(t, c.priorityOf(1, other), other)
	p := c.priorityOf(997, other)
	checktest.Truef(t, p == own && len(c.expected) == 1, "%v %v", p, len(c.expected))
	p = c.priorityOf(999, other)
	checktest.Truef(t, p == own && c.expected == nil, "%v %v", p, c.expected)
}
