package pool

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeBroker is a Broker that does not answer, but for entries of other servers.
type fakeBroker struct {
	from    Place      // of Start, and what that returns
	full    bool       // Publish finds no room
	entries chan Batch // of other servers; nil: none
	ends    sync.WaitGroup
}

func (b *fakeBroker) Epoch() string { return "epoch" }

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
	t.Parallel()
	b := &fakeBroker{entries: make(chan Batch)}
	h := start(t, "", func(o *Options) { o.Workers, o.Broker = 1, b })
	pid := h.serving(1)[0]
	h.stop(pid)
	const all = 200
	var taken atomic.Int64
	var ends sync.WaitGroup
	ends.Go(func() {
		for seq := range uint64(all) {
			b.entries <- Batch{Seq: seq + 1, N: 1, Raw: make([]byte, MaxRaw/2)}
			taken.Add(1)
		}
	})
	h.says(fmt.Sprintf("worker %d does not read messages", pid))
	if n := taken.Load(); n > all/2 { // muchWaiting, and one after each wait
		t.Errorf("%d entries of %d KiB were read for a worker that reads none", n, MaxRaw/2>>10)
	}
	ends.Wait()
}
