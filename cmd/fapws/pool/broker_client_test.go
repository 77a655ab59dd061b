package pool

import (
	"context"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/pool/redistest"
	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

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

// If the broker's response to a batch is lost, the server sends the batch again, although the broker has added it. After
// a failed batch, the remaining batches of the request must be rejected, because otherwise the failed batch would count
// as added and be lost.
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
