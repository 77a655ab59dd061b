package pybridge

import (
	"testing"
	"time"
)

// TestPace: clients that are behind are waited for in pauses, which count the same
// however long they take, until timeoutPolicy is used up; a tenth of the time brings it back.
func TestPace(t *testing.T) {
	now := time.Now()
	behind := func(p *broadcastPacer) *groupMember {
		m := &groupMember{}
		m.rec = newOf(m.rec)
		m.rec.unacked = 1
		p.watch(m)
		return m
	}
	pauses := func(p *broadcastPacer, length time.Duration) (n int) {
		for p.waits(now) {
			n++
			now = now.Add(length)
		}
		return n
	}
	want := int(laggardWait / laggardPause)
	for _, length := range []time.Duration{laggardPause, 100 * laggardPause} {
		p := &broadcastPacer{}
		behind(p)
		if n := pauses(p, length); n != want {
			t.Errorf("%d pauses of %v, want %d", n, length, want)
		}
	}

	p, all := &broadcastPacer{}, time.Duration(0)
	m := behind(p)
	for n := 1; n > 0; all += time.Duration(n) * laggardPause {
		n = pauses(p, 0)
	}
	if all != mostPatience {
		t.Errorf("%v of timeoutPolicy, want %v", all, mostPatience)
	}
	now = now.Add(time.Second)
	if n := pauses(p, 0); n != want {
		t.Errorf("%d pauses after a second, want %d", n, want)
	}

	m.rec.unacked = 0
	if n := pauses(p, 0); n != 0 || m.slow {
		t.Errorf("%d pauses for clients that are not behind", n)
	}
}

// newOf returns a new value of a type of C, which tests cannot name.
func newOf[T any](*T) *T { return new(T) }
