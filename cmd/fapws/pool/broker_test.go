package pool

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"fapws/cmd/fapws/pool/redistest"
	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

func TestWorkerIsNotifiedOfDroppedEvents(t *testing.T) {
	s := redistest.Start(t)
	n := connect(t, s)
	s.Kill()
	n.says(t, " is away ")
	for n.Publish(Batch{N: 1, Raw: make([]byte, 1<<20)}) {
	}
	p, publisher, _ := suspects(t, ended(t))
	defer discard(p)
	p.o.Broker = n.Broker
	p.heard(publisher, &Message{Kind: Publish, N: 1, Raw: []byte("xxxx"), ID: 3})
	m, err := decode(inbox(publisher)[0].text)
	checktest.Truef(t, err == nil && m.Kind == Events && m.Text == Dropped && m.ID == 3, "%+v, %v", m, err)
	s.Restart() // so that Close, which the cleanup calls, does not wait for the broker
}

func TestEventsOfOtherServersDoNotDelayTheShutdown(t *testing.T) {
	s := redistest.Start(t)
	other := connect(t, s)
	p := New(Options{Broker: dial(t, s).Broker})
	p.relay.startBroker()
	for range 20 * mostTogether {
		other.Publish(Batch{N: 1, Raw: []byte("late")})
	}
	<-p.events
	close(p.over)
	p.o.Broker.Close(time.Minute)
}

func TestBrokerIsReadNoFasterThanWorkersAcceptEvents(t *testing.T) {
	s := redistest.Start(t)
	p := New(Options{Broker: dial(t, s).Broker})
	p.relay.congested.Store(1)
	p.relay.startBroker()
	defer p.o.Broker.Close(0)
	defer close(p.over)
	other := connect(t, s)
	other.Publish(Batch{N: 1, Raw: []byte("early")})
	other.gets(t, "early")
	for end := time.Now().Add(checkEvery / 5); time.Now().Before(end); time.Sleep(time.Millisecond) {
		select {
		case <-p.events:
			t.Fatal("it came although a worker is congested")
		default:
		}
	}
	p.relay.congested.Store(0)
	<-p.events
}

// An upgrade keeps the event numbers only if the broker stays the same.
func TestEventNumbersContinueAfterAnUpgrade(t *testing.T) {
	var none *Handover
	h := &Handover{BrokerURL: "redis://a", Epoch: "e", Seq: 7}
	for url, want := range map[string]uint64{"redis://a": 7, "redis://b": 0} {
		epoch, last := h.Broker(url)
		checktest.Truef(t, last == want && (epoch != "") == (want != 0), "%s: %s, %d", url, epoch, last)
		epoch, _ = none.Broker(url)
		checktest.Equalf(t, epoch, "", "without a program before")
	}
}

func TestBrokerURLIsParsedAndShownWithoutPasswords(t *testing.T) {
	for _, c := range []struct{ text, address, name, shown string }{
		{"redis://localhost", "localhost:6379", "", ""},
		{"valkey://:secret@10.0.0.1:7000/2?prefix=x", "10.0.0.1:7000", "", "valkey://:xxxxx@10.0.0.1:7000/2?prefix=x"},
		{"rediss://ann:a@b:c@[::1]:7000", "[::1]:7000", "", "rediss://ann:xxxxx@[::1]:7000"},
		{"unix:///run/redis.sock", "/run/redis.sock", "", ""},
		{"redis+sentinel://:secret@a,b:1/main/3?sentinel_password=s", "a:26379 b:1", "main",
			"redis+sentinel://:xxxxx@a,b:1/main/3?sentinel_password=xxxxx"},
		{"redis+sentinel://a,b", "", "", ""},
		{"redis+sentinel://,a/main", "", "", ""},
		{"redis://a?prefix={}", "", "", ""},
		{"redis://a?nonsense=1", "", "", ""},
		{"redis://a\n", "", "", ""},
		{"http://a", "", "", ""},
		{"redis", "", "", ""},
	} {
		a, err := ParseBroker(c.text)
		if c.address == "" {
			checktest.Truef(t, err != nil, "%s is valid", c.text)
			continue
		}
		if c.shown == "" {
			c.shown = c.text
		}
		checktest.Truef(t, err == nil && strings.Join(a.options.Addrs, " ") == c.address && a.options.MasterName == c.name &&
			a.String() == c.shown, "%s: %v, %+v", c.text, err, a)
	}
}

type node struct {
	*Broker
	batches chan Batch
	lines   chan string
}

func dial(t *testing.T, s *redistest.Server) *node {
	t.Helper()
	a := checktest.Try(ParseBroker("redis://" + s.Address)).Must(t)
	n := &node{batches: make(chan Batch, 1000), lines: make(chan string, 100)}
	n.Broker = checktest.Try(ConnectBroker(a, "", 0, func(_ logfile.Level, line string) { n.lines <- line })).Must(t)
	t.Cleanup(func() { n.Close(0) })
	return n
}

func connect(t *testing.T, s *redistest.Server) *node {
	t.Helper()
	n := dial(t, s)
	n.Start(func(b Batch) { n.batches <- b })
	return n
}

func (n *node) says(t *testing.T, text string) {
	t.Helper()
	select {
	case line := <-n.lines:
		checktest.Needf(t, strings.Contains(line, text), "%q; want %q", line, text)
	case <-time.After(time.Minute):
		t.Fatalf("no line with %q", text)
	}
}

// If the broker's response to a batch is lost, the server sends the batch again, although the broker has added it.
// After a failed batch, the remaining batches of the request must be rejected, because otherwise the failed batch would
// count as added and be lost.
func TestBatchIsAddedOnceAndNeverBeforeAnEarlierOne(t *testing.T) {
	n := connect(t, redistest.Start(t))
	some := []Batch{{N: 1, count: 1}, {N: 1, count: 2}, {N: 1, count: 3}}
	err := n.add([]Batch{some[0], some[2]}, 0)
	checktest.Truef(t, err != nil, "the second batch is missing, and the third one was added")
	for range 3 {
		checktest.Must(t, n.add(some, 0))
	}
	length, err := n.redis.XLen(context.Background(), n.keys[0]).Result()
	checktest.Truef(t, err == nil && length == 3, "%d entries, %v", length, err)
}

func TestBrokerThatRejectsEventsIsUnreachable(t *testing.T) {
	n := connect(t, redistest.Start(t))
	set := func(replicas string) {
		checktest.Must(t, n.redis.ConfigSet(context.Background(), "min-replicas-to-write", replicas).Err())
	}
	set("1")
	n.Publish(Batch{N: 3, Raw: []byte("later")})
	n.says(t, " is away (NOREPLICAS ")
	n.answered(reading)
	st := n.State()
	checktest.Truef(t, st.Away != 0 && st.Waiting == 3, "%+v", st)
	n.failed(reading, context.DeadlineExceeded)
	set("0")
	n.says(t, "; 3 events waited")
	b := <-n.batches
	checktest.Equalf(t, string(b.Raw), "later", "%+v", b)
}

func TestNumbersNeverDecreaseAfterTheBrokerLostItsData(t *testing.T) {
	s := redistest.Start(t)
	a := connect(t, s)
	a.Publish(Batch{N: 50, Raw: []byte("a")})
	<-a.batches
	checktest.Eventually(t, "the broker has answered", a.Idle) // without the response, the batch would be sent again
	s.Kill()
	a.says(t, " is away ")
	s.Restart()
	a.says(t, " is back ")
	b := connect(t, s)
	last := uint64(50)
	for _, n := range []*node{b, a} {
		n.Publish(Batch{N: 1, Raw: []byte("next")})
		x := <-a.batches
		checktest.Truef(t, string(x.Raw) == "next" && x.Seq > last, "%+v, want a number above %d", x, last)
		last = x.Seq
	}
}

func TestEventsAboveTheMemoryLimitAreDroppedAndReported(t *testing.T) {
	s := redistest.Start(t)
	a := connect(t, s)
	s.Kill()
	a.says(t, " is away ")
	large := make([]byte, 1<<20)
	for i := range mostPending>>20 + 3 {
		checktest.Equalf(t, a.Publish(Batch{N: 2, Raw: large}), i < mostPending>>20, "batch %d: taken", i)
	}
	a.says(t, "64 MB of events wait for redis://"+s.Address+"; dropping further ones")
	st := a.State()
	checktest.Truef(t, st.Lost == 6 && st.Waiting == 2*(mostPending>>20) && st.Away != 0 && a.Congested() && !a.Idle(),
		"%+v", st)
	checktest.Equalf(t, len(together([]Batch{{Raw: large}, {Raw: large}})), 1, "large batches leave at once")
	s.Restart()
	a.says(t, "6 events found no room and are lost")
	for range mostPending >> 20 {
		<-a.batches
	}
	if kept, err := a.History(); err != nil || len(kept) != historyBytes>>20-1 {
		t.Errorf("%d batches of a MiB are the history; %v", len(kept), err)
	}
}

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
	late := &Broker{redis: n.redis, keys: n.keys, ctx: n.ctx, unsure: true, deliver: func(b Batch) { t.Errorf("%+v", b) }}
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
