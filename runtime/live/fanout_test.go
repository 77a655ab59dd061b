package live

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
)

func eventOf(name, data string) func(uint64) (*Event, error) {
	return func(seq uint64) (*Event, error) { return NewEvent(&Message{Name: name, Data: data}, seq, "e"), nil }
}

// Subscribers join and leave at random times, and each gets the events that its channels publish after it has joined.
// There are enough subscribers that the lists of channels grow and shrink (Hub.vacate).
func TestSubscriberGetsEachEventOnceAndInOrder(t *testing.T) {
	type got struct {
		name string
		seq  uint64
	}
	received := map[*ear][]got{}
	f := NewFanout(func() bool { return rand.IntN(2) == 0 }, 200)
	f.WakeBy(func() {})
	names := []string{"a", "b", "c"}
	var all []*ear
	want := map[*ear][]got{}
	for i := range 150 {
		e := &ear{id: i}
		e.give = func(events []*Event) {
			for _, one := range events {
				received[e] = append(received[e], got{one.Name, one.Seq})
			}
		}
		e.position.Seq = f.Tip()
		f.Join(e, nil)
		all = append(all, e)
	}
	for range 3000 {
		e, name := all[rand.IntN(len(all))], names[rand.IntN(3)]
		switch rand.IntN(4) {
		case 0:
			f.Finish(time.Hour)
			f.Add(e, name)
		case 1:
			f.Finish(time.Hour)
			f.Remove(e, name)
		case 2:
			seq := checktest.Try(f.Publish(0, eventOf(name, fmt.Sprint(name)))).Must(t)
			for _, one := range all {
				if one.position.In(name) {
					want[one] = append(want[one], got{name, seq})
				}
			}
		default:
			f.Turn()
			for _, e := range all {
				due := slices.IndexFunc(want[e], func(one got) bool { return one.seq > f.Reached(e) })
				if due < 0 {
					due = len(want[e])
				}
				checktest.Needf(t, len(received[e]) == due,
					"subscriber %d has got %d events, and %d up to %d, which it has reached", e.id, len(received[e]), due,
					f.Reached(e))
			}
		}
	}
	f.Finish(time.Hour)
	for _, e := range all {
		checktest.Needf(t, slices.Equal(received[e], want[e]),
			"subscriber %d has got %v, want %v", e.id, received[e], want[e])
		f.Leave(e)
	}
	if n := f.Waiting(); n != 0 || len(f.channels) != 0 {
		t.Errorf("%d bytes are still counted, and %d channels are left over", n, len(f.channels))
	}
}

// A pause counts with its nominal length even if it takes longer.
func TestPacerWaitsForSubscribersUntilPatienceIsUsedUp(t *testing.T) {
	for _, late := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p := newPacer()
			woken := make(chan struct{}, 1)
			waits := func() (n int) {
				for p.waits(func() { woken <- struct{}{} }) {
					<-woken
					time.Sleep(late)
					n++
				}
				return n
			}
			p.counted = time.Now()
			slow := &ear{}
			p.Lag(slow)
			n, want := waits(), int(leastPatience/pause)
			checktest.Equalf(t, n, want, "pauses")
			p.Lag(slow)
			checktest.Equalf(t, waits(), 0, "pauses for one that was waited for")
			p.CaughtUp(slow)
			p.saved, p.counted = 0, time.Now()
			time.Sleep(time.Second)
			p.Lag(slow)
			n, want = waits(), int((leastPatience+time.Second/10)/pause)
			checktest.Equalf(t, n, want, "pauses after a second")
			p.CaughtUp(slow)
			n = waits()
			checktest.Truef(t, n == 0 && len(p.young)+len(p.old) == 0, "%d pauses when nothing is behind", n)
		})
	}
}

func TestHubNoticesAForgottenEvent(t *testing.T) {
	for name, limits := range map[string]ChannelLimits{
		"events of a channel": {Events: 3, Bytes: 1 << 20, Total: 1 << 20, Age: 100},
		"bytes of a channel":  {Events: 100, Bytes: 3 * 60, Total: 1 << 20, Age: 100},
		"no history":          {Total: 1 << 20},
		"age":                 {Events: 100, Bytes: 1 << 20, Total: 1 << 20, Age: 3},
	} {
		h := newTestHub(limits)
		for seq := uint64(1); seq < 10; seq++ {
			h.Take(NewFrame("a", seq, make([]byte, 50), 2, exchange.OpBinary), int64(seq))
			h.Expire(int64(seq))
		}
		for after := uint64(0); after < 10; after++ {
			if n := len(h.Since([]string{"a"}, after)); (n == 9-int(after)) != h.Complete(after) {
				t.Errorf("%s: after %d there are %d events, and Complete says %t", name, after, n, h.Complete(after))
			}
		}
	}
	h := newTestHub(ChannelLimits{Total: 3 * (overhead + 60)})
	h.Hold(1000)
	for seq := uint64(1); seq < 10; seq++ {
		h.Take(NewFrame("a", seq, make([]byte, 50), 2, exchange.OpBinary), int64(seq))
	}
	since := func(after uint64) int { return len(h.Since([]string{"a"}, after)) }
	for after := uint64(0); after < 10; after++ {
		checktest.Equalf(t, since(after) == 9-int(after), h.Complete(after),
			"after %d there are %d events, and Complete says", after, since(after))
	}
	h.Expire(2000)
	checktest.Equalf(t, since(0), 0, "events are kept when Hold is over")
}

// If the time grew with the square of the number of events, the end would take minutes.
func TestEndOfHoldTakesNoLongerThanTheEventsTook(t *testing.T) {
	const events, kept = 120_000, 2
	h := newTestHub(ChannelLimits{Events: kept, Bytes: 1 << 20, Total: 1 << 30, Age: 1 << 62})
	h.Hold(1000)
	taken := checktest.ProcessorTime(t, func() {
		for seq := range uint64(events) {
			h.Take(NewFrame(fmt.Sprint(seq%100), seq+1, make([]byte, 3), 2, exchange.OpText), 1)
		}
	})
	ended := checktest.ProcessorTime(t, func() { h.Expire(2000) })
	checktest.Truef(t, ended <= 4*taken, "%v to take the events, and %v to drop them", taken, ended)
	if n := len(h.Kept()); n != 100*kept || h.bytes != n*h.oldest().cost() || h.oldest().Seq != events-uint64(n)+1 {
		t.Errorf("%d events are left, the first one is %d", n, h.oldest().Seq)
	}
}
