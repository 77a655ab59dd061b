package pool

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeBroker is a Broker that does not answer, but for entries of other servers.
type fakeBroker struct {
	from    Place      // argument and result of Start
	full    bool       // Publish finds no room
	entries chan Batch // of other servers; nil: none
	ends    sync.WaitGroup
}

func (b *fakeBroker) String() string { return "fake://" }
func (b *fakeBroker) Epoch() string  { return "epoch" }

func (b *fakeBroker) Start(from Place, deliver func(b Batch)) (Place, error) {
	b.ends.Go(func() {
		for one := range b.entries {
			deliver(one)
		}
	})
	return b.from, nil
}

func (b *fakeBroker) Publish(Batch) bool        { return !b.full }
func (b *fakeBroker) Congested() bool           { return false }
func (b *fakeBroker) Away() bool                { return true }
func (b *fakeBroker) Idle() bool                { return true }
func (b *fakeBroker) History() ([]Batch, error) { return nil, nil }

func (b *fakeBroker) Close(time.Duration) {
	if b.entries != nil {
		b.entries <- Batch{Seq: 1, N: 1, Raw: []byte("late")}
		close(b.entries)
	}
	b.ends.Wait()
}

// A worker whose events wait for the broker is told, so that its responses need not wait, too.
func TestBrokerAway(t *testing.T) {
	t.Parallel()
	h := start(t, "", func(o *Options) { o.Workers, o.Broker = 1, &fakeBroker{} })
	h.serving(1)
	h.tell("publish 3")
	eventually(t, "the worker knows", func() bool { return strings.HasSuffix(h.tell("heard")[0], "waits-3 ") })
}

// A worker is told of events for which there is no room, so that it may publish others.
func TestBrokerFull(t *testing.T) {
	t.Parallel()
	h := start(t, "", func(o *Options) { o.Workers, o.Broker = 1, &fakeBroker{full: true} })
	h.serving(1)
	h.tell("publish 3")
	eventually(t, "the worker knows", func() bool { return strings.HasSuffix(h.tell("heard")[0], "dropped-3 ") })
}

// Events of other servers that come while this one ends do not keep it from ending.
func TestBrokerDeliversAtTheEnd(t *testing.T) {
	t.Parallel()
	h := start(t, "", func(o *Options) { o.Workers, o.Broker = 1, &fakeBroker{entries: make(chan Batch)} })
	h.serving(1)
	h.Stop()
	if err := h.result(); err != nil {
		t.Error(err)
	}
}

// A worker gets the past events of another one also if none has come since the broker told their last number.
func TestBrokerHistory(t *testing.T) {
	t.Parallel()
	h := start(t, "", func(o *Options) { o.Broker = &fakeBroker{from: Place{Entry: "1-0", Seq: 500}} })
	h.serving(2)
	seqs := h.tell("history")
	slices.Sort(seqs)
	if !slices.Equal(seqs, []string{"0", "500"}) { // the first worker has it from the broker
		t.Errorf("workers take history up to %q", seqs)
	}
}

// The broker is not read faster than the workers take its events.
func TestBrokerFasterThanWorkers(t *testing.T) {
	b := &fakeBroker{entries: make(chan Batch, 1)}
	p := New(Options{Broker: b})
	p.relay.congested.Store(1)
	if err := p.startBroker(nil); err != nil {
		t.Fatal(err)
	}
	defer b.Close(0)
	defer close(p.over)
	b.entries <- Batch{Seq: 1, N: 1, Raw: []byte("early")}
	for end := time.Now().Add(stuckAfter / 10); time.Now().Before(end); time.Sleep(time.Millisecond) {
		select {
		case <-p.events:
			t.Fatal("it came although a worker is congested")
		default:
		}
	}
	p.relay.congested.Store(0)
	<-p.events
}

// Events go on where the program before was, unless that had another broker.
func TestHandoverPlace(t *testing.T) {
	var none *Handover
	h := &Handover{Broker: "5-0", BrokerURL: "redis://a", Seq: 7}
	for url, want := range map[string]Place{"redis://a": {Entry: "5-0", Seq: 7}, "redis://b": {}} {
		if got := h.Place(url); got != want {
			t.Errorf("%s: %+v", url, got)
		}
		if got := none.Place(url); got != (Place{}) {
			t.Errorf("without a program before: %+v", got)
		}
	}
}
