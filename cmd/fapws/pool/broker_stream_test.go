package pool

import (
	"context"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/pool/redistest"
	"fapws/runtime/checktest"
	"fapws/runtime/logfile"

	"github.com/redis/go-redis/v9"
)

func foreign(t *testing.T, n *node, id string, fields ...any) {
	t.Helper()
	checktest.Must(t, n.redis.XAdd(context.Background(), &redis.XAddArgs{Stream: n.keys[0], ID: id, Values: fields}).
		Err())
}

func (n *node) gets(t *testing.T, raw string) uint64 {
	t.Helper()
	select {
	case b := <-n.batches:
		checktest.Needf(t, string(b.Raw) == raw, "%+v; want %q", b, raw)
		return b.Seq
	case <-time.After(time.Minute):
		t.Fatalf("no batch with %q", raw)
		return 0
	}
}

func TestForeignEntriesAreReportedOnceAndHideNoEvents(t *testing.T) {
	n := connect(t, redistest.Start(t))
	last := uint64(0)
	publish := func(text string) {
		t.Helper()
		n.Publish(Batch{N: 1, Raw: []byte(text)})
		got := n.gets(t, text)
		checktest.Truef(t, got > last, "number %d after %d", got, last)
		last = got
	}
	publish("first")
	foreign(t, n, "*", "hello", "world")
	for _, count := range []any{uint64(1<<63 - 1), maxSeq, -1, "1e9", "+7"} {
		foreign(t, n, "*", "n", count, "from", "x", "id", 1, "pid", 1, "kind", "events", "raw", "foreign")
	}
	foreign(t, n, "*", "n", 1, "from", "x", "id", 1, "pid", 1, "kind", "events", "raw", "")
	publish("second")
	n.says(t, "ignoring entry ")
	kept, err := n.History()
	checktest.Truef(t, err == nil && len(kept) == 2 && string(kept[0].Raw) == "first" && string(kept[1].Raw) == "second",
		"history %+v, %v", kept, err)
	foreign(t, n, "18446744073709551615-18446744073709551615", "hello", "world")
	publish("third")
	publish("fourth")
	for len(n.lines) > 0 {
		line := <-n.lines
		checktest.Truef(t, strings.Contains(line, "may be missing"), "reported again: %q", line)
	}
}

// Entries that were not lost are not delivered again, and new entries get larger numbers than the lost entries.
func TestBrokerThatLosesItsLastEntriesContinues(t *testing.T) {
	n := connect(t, redistest.Start(t))
	for _, text := range []string{"one", "two", "three"} {
		n.Publish(Batch{N: 1, Raw: []byte(text)})
		n.gets(t, text)
	}
	late := &Broker{redis: n.redis, keys: n.keys, ctx: n.ctx, unsure: true, deliver: func(b Batch) {
		t.Errorf("%+v", b)
	}}
	late.seq.Store(50)
	checktest.Equal(t, late.readSome(), nil)
	n.Publish(Batch{N: 1, Raw: []byte("four")})
	got := n.gets(t, "four")
	checktest.Truef(t, got > 50, "number %d", got)
}

func TestBrokerWithFullMemoryDropsPastEvents(t *testing.T) {
	n := connect(t, redistest.Start(t, "--maxmemory", "10mb", "--maxmemory-policy", "noeviction"))
	large := strings.Repeat("x", 64<<10)
	for range 3 * leastEntries {
		n.Publish(Batch{N: 1, Raw: []byte(large)})
		n.gets(t, large)
	}
	n.says(t, "has reached its maxmemory")
}

func TestEpochThatCannotBePartOfEventIDsIsRejected(t *testing.T) {
	n := connect(t, redistest.Start(t))
	a := checktest.Try(ParseBroker("redis://" + n.redis.(*redis.Client).Options().Addr)).Must(t)
	for _, epoch := range []string{"", "a\ndata: x", "A", "a b", strings.Repeat("z", 20)} {
		checktest.Must(t, n.redis.HSet(context.Background(), n.keys[1], "epoch", epoch).Err())
		_, err := ConnectBroker(a, "", 0, func(logfile.Level, string) {})
		checktest.Truef(t, err != nil && strings.Contains(err.Error(), "the epoch in {fapws}:state is not one of fapws"),
			"epoch %q: %v", epoch, err)
	}
}
