package worker

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/checktest"
	"fapws/runtime/live"
	"fapws/runtime/runtimetest"
)

func TestPublisherCannotTakeMoreNumbersThanItAnnounced(t *testing.T) {
	var raw []byte
	for range 3 {
		raw = appendEvent(raw, &pybridge.Event{Name: "news", Data: "x"})
	}
	for n, want := range [][]uint64{{}, {7}, {7, 8}, {7, 8, 9}, {7, 8, 9}} {
		got := []uint64{}
		err := eachEvent(&pool.Message{Seq: 7, N: n, Raw: raw}, func(seq uint64, _ *pybridge.Event) {
			got = append(got, seq)
		})
		checktest.Truef(t, reflect.DeepEqual(got, want) && (err != nil) == (n < 3),
			"%d of 3 events: numbers %d, %v", n, got, err)
	}
}

func TestPublisherWhoseEventsAreDroppedMayPublishOthers(t *testing.T) {
	r := newRelay(new(service))
	r.waiting.Store(mostDown + 1)
	r.overflowed.Store(true)
	r.arrived(&pool.Message{Seq: 7, N: 1, Raw: appendEvent(nil, &pybridge.Event{Name: "news", Data: "x"}), ID: 70})
	r.down.Hold(false)
	r.down.Wait(time.Minute)
	checktest.Equalf(t, r.dealt.Load(), 70, "cost of the events dealt with")
}

// FuzzCutEvent checks that any bytes are decoded to an event or an error, and that a decoded event does not change if
// it is encoded and decoded again.
func FuzzCutEvent(f *testing.F) {
	f.Add(appendEvent(nil, &pybridge.Event{Name: "news", ID: "7", Data: "x"}))
	f.Add(appendEvent(nil, &pybridge.Event{Place: "p", Name: "g", Data: "x", Binary: true}))
	f.Add(appendEvent(nil, &pybridge.Event{Name: placeMark, ID: "g", Type: binaryType, Data: "x"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, _, err := cutEvent(raw)
		if err != nil || e.Place == "" && strings.HasPrefix(e.Name, placeMark) { // no channel has this name
			return
		}
		again, rest, err := cutEvent(appendEvent(nil, &e))
		checktest.Needf(t, err == nil && len(rest) == 0 && reflect.DeepEqual(again, e), "%+v, then %+v, %v", e, again, err)
	})
}

// In this test, an attacker controls the worker that sends its past events to the new worker.
func TestForgedHistoryCannotForgeFutureEvents(t *testing.T) {
	to := newServer(t)
	ours, file, _ := pool.Pair()
	theirs := checktest.Try(pool.ChannelOf(file)).Must(t)
	file.Close()
	event := live.NewEvent(&live.Message{Name: "news", Data: "x"}, 1<<64-1, "e")
	go giveHistory(theirs, []*live.Event{event})
	checktest.Must(t, takeHistory(to, ours, 3, time.Minute))
	checktest.Equalf(t, len(to.Subscribers().History()), 0, "events")
	checktest.Truef(t, takeHistory(to, ours, 3, 0) != nil, "it has taken more")
}

func newServer(t *testing.T) *runtime.Server {
	t.Helper()
	s := checktest.Try(runtime.New(runtimetest.Config())).Must(t)
	t.Cleanup(func() { s.Close() })
	return s
}
