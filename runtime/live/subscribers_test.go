package live

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

type host struct {
	t     testing.TB
	loop  *eventloop.Loop
	s     *Subscribers
	conns conn.Set
	open  int
	log   []string
}

func (h *host) Full() bool  { return false }
func (h *host) Count(n int) { h.open += n }

func (h *host) Do(f func()) { looptest.Do(h.loop, f) }

func serve(t testing.TB, cfg StreamConfig) *host {
	t.Helper()
	loop := looptest.New(t)
	h := &host{t: t, loop: loop}
	h.conns.Init()
	h.conns.Events, h.conns.WriteTimeout = loop, time.Minute
	sites := &exchange.Server{Config: exchange.Config{LogClient: func(_ logfile.Level, client, line string) {
		h.log = append(h.log, client+": "+line)
	}}}
	h.s = NewSubscribers(h, sites, &h.conns)
	h.s.WakeBy(func() { loop.Post(h.s.Turn) })
	for field, usual := range map[*int]int{&cfg.Subscribers: 100000, &cfg.PerAddress: 256, &cfg.Buffer: 64 << 10,
		&cfg.History: 100, &cfg.MaxEvent: 64 << 10} {
		*field = cmp.Or(*field, usual)
	}
	cfg.Heartbeat, cfg.Retry = cmp.Or(cfg.Heartbeat, 45*time.Second), cmp.Or(cfg.Retry, 3*time.Second)
	cfg.Epoch = "e"
	h.s.Configure(cfg, 0)
	looptest.Run(t, loop, func() { h.conns.CloseAll("the test has ended") })
	return h
}

func (h *host) subscribe(address string, names ...string) (fd int, p *StreamSubscriber, err error) {
	h.t.Helper()
	fds := checktest.Try(system.SocketpairNonblock()).Must(h.t)
	h.t.Cleanup(func() { unix.Close(fds[0]) })
	h.Do(func() {
		p, err = h.s.admit(names, &exchange.Request{Parsed: &http1.Request{Version: http1.HTTP11},
			Peer: &exchange.Peer{Addr: address, Port: "80"}})
		if err != nil {
			unix.Close(fds[1])
			return
		}
		checktest.Equal(h.t, h.s.open(p, fds[1], nil, nil), nil)
		h.open++
		h.s.begin(p)
	})
	return fds[0], p, err
}

func (h *host) publish(name, data string) {
	h.t.Helper()
	checktest.Try(h.s.Publish(0, &Message{Name: name, Data: data})).Must(h.t)
	for h.s.Waiting() > 0 {
		h.Do(func() {})
	}
}

// A dropped subscriber is released completely. A subscriber that reads its events has no queue.
func TestSubscriberThatDoesNotReadIsDropped(t *testing.T) {
	h := serve(t, StreamConfig{Buffer: 16 << 10})
	_, slow, _ := h.subscribe("192.0.2.1", "news")
	quick, p, _ := h.subscribe("192.0.2.2", "news")
	text, buf := strings.Repeat("x", 4<<10), make([]byte, 64<<10)
	for slow.state != gone {
		h.publish("news", text)
		n, err := conn.Receive(quick, buf)
		checktest.Needf(t, err == nil && bytes.Contains(buf[:n], []byte(text)), "%v %v", n, err)
	}
	h.Do(func() {
		for p := range h.s.young {
			t.Errorf("%s is still behind", p)
		}
		checktest.Truef(t, p.queue == nil && p.state == idle, "the quick one still has a queue")
		checktest.Truef(t, h.open == 1 && h.s.joined == 1 && len(h.s.addresses) == 1,
			"%d clients, %d joined, %d addresses", h.open, h.s.joined, len(h.s.addresses))
		checktest.Truef(t, len(h.log) == 1 &&
			strings.Contains(h.log[0], "192.0.2.1:80: a subscriber of news reads too slowly"), "%v", h.log)
	})
}

func TestSubscribersAreCountedByAddressUntilTheyLeave(t *testing.T) {
	h := serve(t, StreamConfig{PerAddress: 1})
	for _, test := range []struct {
		address string
		ok      bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", false}, {"::ffff:192.0.2.1", false}, {"192.0.2.2", true},
		{"2001:db8::1", true}, {"2001:db8::ffff:1", false}, {"2001:db8:0:1::1", true},
		{"", true}, {"", true},
	} {
		_, _, err := h.subscribe(test.address, "a", "b")
		checktest.Equalf(t, test.ok, err == nil, "%q: %v", test.address, err)
	}
	h.Do(func() {
		h.s.Drain(false)
		checktest.Truef(t, len(h.s.addresses) == 0 && h.s.joined == 0 && h.open == 0,
			"%d addresses, %d joined, %d clients", len(h.s.addresses), h.s.joined, h.open)
	})
	counts := h.s.Counts()
	checktest.Equalf(t, len(counts), 0, "%v", counts)
}

func TestHistoryMovesToAnotherServer(t *testing.T) {
	from, to := serve(t, StreamConfig{MaxEvent: 200 << 10}), serve(t, StreamConfig{MaxEvent: 200 << 10})
	for i, size := range []int{10, 150 << 10, 0, 50 << 10, 20 << 10} {
		from.publish(fmt.Sprint(i%2), strings.Repeat("x", size))
	}
	checktest.Must(t, to.s.ImportHistory(Encode(from.s.History()), 5))
	texts := func(h *host) (all []string) {
		h.Do(func() {
			for _, e := range h.s.Kept() {
				all = append(all, string(e.Text()))
			}
		})
		return all
	}
	if got, want := texts(to), texts(from); len(want) != 5 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d events have come, of %d", len(got), len(want))
	}
}

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
