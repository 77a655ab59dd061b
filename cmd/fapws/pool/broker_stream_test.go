package pool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/pool/redistest"
	"fapws/runtime/logfile"
	"fapws/runtime/waittest"

	"github.com/redis/go-redis/v9"
)

// foreign writes an entry as any program may that shares the broker.
func foreign(t *testing.T, n *node, id string, fields ...any) {
	t.Helper()
	if err := n.redis.XAdd(context.Background(), &redis.XAddArgs{Stream: n.keys[1], ID: id, Values: fields}).Err(); err != nil {
		t.Fatal(err)
	}
}

// gets wants the next batch to have this text, and returns its number.
func (n *node) gets(t *testing.T, raw string) uint64 {
	t.Helper()
	select {
	case b := <-n.batches:
		if string(b.Raw) != raw {
			t.Fatalf("%+v; want %q", b, raw)
		}
		return b.Seq
	case <-time.After(time.Minute):
		t.Fatalf("no batch with %q", raw)
		return 0
	}
}

// Entries of others are reported once, and hide no events: neither by their numbers, nor by those in the state, nor by their ids.
func TestForeignEntries(t *testing.T) {
	n := connect(t, redistest.Start(t))
	publish := func(text string) uint64 {
		t.Helper()
		n.Publish(Batch{N: 1, Raw: []byte(text)})
		return n.gets(t, text)
	}
	last := publish("first")
	foreign(t, n, "*", "hello", "world")
	for _, seq := range []any{uint64(1<<63 - 1), uint64(1 << 62), maxSeq, 5000, -1, "1e9", "+7"} {
		foreign(t, n, "*", "seq", seq, "n", 1, "from", "x", "count", 1, "kind", "events", "raw", "foreign")
	}
	foreign(t, n, "*", "seq", 2, "n", 1, "from", "x", "count", 1, "kind", "events", "raw", "")
	if got := publish("second"); got != last+1 {
		t.Errorf("number %d after %d", got, last)
	}
	n.says(t, "ignoring entry ")
	if kept, err := n.History(); err != nil || len(kept) != 2 || string(kept[0].Raw) != "first" || string(kept[1].Raw) != "second" {
		t.Errorf("history %+v, %v", kept, err)
	}
	last++
	for _, seq := range []any{"9223372036854775807", "1e300", "-1", "0.5", "nan", "nonsense"} {
		if err := n.redis.HSet(context.Background(), n.keys[0], "seq", seq).Err(); err != nil {
			t.Fatal(err)
		}
		got := publish("third")
		if got <= last || got > last+2*afterLoss {
			t.Errorf("number %d after %d and %v in the state", got, last, seq)
		}
		last = got
		n.says(t, "may be missing")
	}
	foreign(t, n, "18446744073709551615-18446744073709551615", "hello", "world")
	if got := publish("fourth"); got != last+1 {
		t.Errorf("number %d after %d", got, last)
	}
	select {
	case line := <-n.lines:
		t.Errorf("reported again: %q", line)
	default:
	}
}

// Events come although the ids of the broker go back: its clock may be behind after it has lost its data.
func TestClockBehind(t *testing.T) {
	s := redistest.Start(t)
	a := connect(t, s)
	a.Publish(Batch{N: 1, Raw: []byte("early")})
	a.gets(t, "early")
	tomorrow := time.Now().Add(24 * time.Hour).UnixMilli()
	if err := a.redis.Do(context.Background(), "XSETID", a.keys[1], fmt.Sprintf("%d-0", tomorrow)).Err(); err != nil {
		t.Fatal(err)
	}
	a.Publish(Batch{N: 1, Raw: []byte("of tomorrow")})
	last := a.gets(t, "of tomorrow")
	waittest.Eventually(t, "the broker has answered", a.Idle) // else it comes again
	s.Kill()
	a.says(t, " is away ")
	s.Restart()
	a.says(t, " is back ")
	b := connect(t, s)
	b.Publish(Batch{N: 1, Raw: []byte("of another server")})
	if got := a.gets(t, "of another server"); got <= last {
		t.Errorf("number %d after %d", got, last)
	}
}

// After a loss of only the last entries, those that remain do not come twice.
func TestRewind(t *testing.T) {
	n := connect(t, redistest.Start(t))
	for _, text := range []string{"one", "two", "three"} {
		n.Publish(Batch{N: 1, Raw: []byte(text)})
		n.gets(t, text)
	}
	var got []string
	late := &Broker{redis: n.redis, keys: n.keys, epoch: n.epoch, ctx: n.ctx, last: "99999999999999-0", seq: 2, unsure: true,
		deliver: func(b Batch) { got = append(got, string(b.Raw)) }}
	if err := late.readSome(); err != nil || !slices.Equal(got, []string{"three"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// Past events make room for new ones if the broker has no memory for more.
func TestFull(t *testing.T) {
	n := connect(t, redistest.Start(t, "--maxmemory", "10mb", "--maxmemory-policy", "noeviction"))
	large := strings.Repeat("x", 64<<10)
	for range 3 * leastEntries {
		n.Publish(Batch{N: 1, Raw: []byte(large)})
		n.gets(t, large)
	}
	n.says(t, "has reached its maxmemory")
}

// A state of which the ids of events cannot be made is not accepted.
func TestForeignEpoch(t *testing.T) {
	n := connect(t, redistest.Start(t))
	a, err := ParseBroker("redis://" + n.redis.(*redis.Client).Options().Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []string{"", "a\ndata: x", "A", "a b", strings.Repeat("z", 20)} {
		if err := n.redis.HSet(context.Background(), n.keys[0], "epoch", epoch).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := ConnectBroker(a, "", func(logfile.Level, string) {}); err == nil || !strings.Contains(err.Error(), "the epoch in {fapws}:state is not one of fapws") {
			t.Errorf("epoch %q: %v", epoch, err)
		}
	}
}

func TestBefore(t *testing.T) {
	for id, want := range map[string]string{"5-1": "5-0", "5-0": "4-18446744073709551615"} {
		if got := before(id); got != want || compareIDs(got, id) >= 0 || compareIDs(id, got) <= 0 {
			t.Errorf("before %s: %s", id, got)
		}
	}
}
