package pool

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

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

// A worker reads one message for several batches, except for those of its own, whose ID it waits for.
func TestBatchesOfOtherServersReachAWorkerTogether(t *testing.T) {
	p, publisher, other := suspects(t, ended(t))
	defer discard(p)
	large := make([]byte, togetherBytes)
	batch := func(seq uint64, n int, raw string) Batch { return Batch{Seq: seq, N: n, Raw: []byte(raw)} }
	all := []Batch{batch(1, 1, "a"), batch(2, 2, "bc"), {Seq: 3, Raw: []byte("/page"), Purge: true}, batch(4, 1, "d"),
		{Seq: 5, N: 1, Raw: []byte("own"), ID: 7, Publisher: publisher.Pid}, batch(6, 1, "e"), batch(9, 1, "after a gap"),
		batch(10, 1, "f"), {Seq: 11, N: 1, Raw: large}}
	for len(all) > 0 {
		all = p.relay.delivered(all)
	}
	for w, id := range map[*worker]uint64{publisher: 7, other: 0} {
		var got []string
		for _, d := range inbox(w) {
			if d.text[0] == partMark { // of the large batch, which does not fit into a message with another one
				break
			}
			m := checktest.Try(decode(d.text)).Must(t)
			if m.Kind == Events || m.Kind == Purge {
				got = append(got, fmt.Sprintf("%d+%d %d %s%s", m.Seq, m.N, m.ID, m.Raw, m.Text))
			}
		}
		checktest.Equal(t, got, []string{"1+3 0 abc", "0+0 0 /page", "4+1 0 d", fmt.Sprintf("5+1 %d own", id), "6+1 0 e",
			"9+2 0 after a gapf"})
	}
	checktest.Equal(t, p.relay.seq, 11)
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
		{"unix:///run/redis.sock?db=2", "/run/redis.sock", "", ""},
		{"unix://", "", "", ""},
		{"redis://a/x", "", "", ""},
		{"unix+sentinel://a/main", "", "", ""},
		{"redis+sentinel://:secret@a,b:1/main/3?sentinel_password=s", "a:26379 b:1", "main",
			"redis+sentinel://:xxxxx@a,b:1/main/3?sentinel_password=xxxxx"},
		{"redis+cluster://:secret@a,b:1?prefix=x", "a:6379 b:1", "", "redis+cluster://:xxxxx@a,b:1?prefix=x"},
		{"valkeys+cluster://[::1],b:1/", "[::1]:6379 b:1", "", ""},
		{"redis+cluster://a/1", "", "", ""},
		{"redis+cluster://a,", "", "", ""},
		{"unix+cluster://a", "", "", ""},
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
		checktest.Truef(t, err == nil && strings.Join(a.hosts, " ") == c.address && a.master == c.name &&
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
	return dialURL(t, "redis://"+s.Address)
}

func dialURL(t *testing.T, url string) *node {
	t.Helper()
	a := checktest.Try(ParseBroker(url)).Must(t)
	n := &node{batches: make(chan Batch, 1000), lines: make(chan string, 100)}
	n.Broker = checktest.Try(ConnectBroker(a, "", 0, func(_ logfile.Level, line string) { n.lines <- line })).Must(t)
	t.Cleanup(func() { n.Close(0) })
	return n
}

func connect(t *testing.T, s *redistest.Server) *node {
	t.Helper()
	return dial(t, s).start()
}

func (n *node) start() *node {
	n.Start(func(all []Batch) {
		for _, b := range all {
			n.batches <- b
		}
	})
	return n
}

// command sends a command to the broker over a connection of its own.
func (n *node) command(t *testing.T, name string, args ...any) any {
	t.Helper()
	c := checktest.Try(n.address.connect(t.Context(), answerWithin)).Must(t)
	defer c.Close()
	return checktest.Try(c.Do(name, args...)).Must(t)
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
// The batches after a failed batch must be rejected, because otherwise the failed batch would count as added and be
// lost. A batch fails here because an id can have at most 64 bits.
func TestBatchIsAddedOnceAndNeverBeforeAnEarlierOne(t *testing.T) {
	n := dial(t, redistest.Start(t))
	some := []Batch{{N: 1, count: 1}, {N: math.MaxInt, count: 2}, {N: math.MaxInt, count: 3}, {N: 1, count: 4}}
	err := n.add(some, 0)
	checktest.Truef(t, err != nil, "the third batch failed without an error")
	checktest.Equalf(t, n.command(t, "XLEN", n.keys[0]), any(int64(2)), "entries before the failed batch")
	n.command(t, "DEL", n.keys[0])
	some[2].N = 1
	for range 3 {
		checktest.Must(t, n.add(some, 0))
	}
	checktest.Equalf(t, n.command(t, "XLEN", n.keys[0]), any(int64(2)), "entries after the third batch was corrected")
}

func TestBrokerThatRejectsEventsIsUnreachable(t *testing.T) {
	n := connect(t, redistest.Start(t))
	set := func(replicas string) {
		n.command(t, "CONFIG", "SET", "min-replicas-to-write", replicas)
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
	n.command(t, "XADD", redis.Args{n.keys[0], id}.Add(fields...)...)
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
	for _, count := range []any{uint64(1<<63 - 1), maxSeq, -1, "1e9", "+7", 0} {
		foreign(t, n, "*", batchField, fmt.Sprintf("events %v 1 1 x\nforeign", count))
	}
	foreign(t, n, "*", batchField, "events 1 1 1 x\n")
	foreign(t, n, "*", batchField, "events 1 1 1\nforeign")
	for _, message := range []string{"x", "1-0 7\nforeign", "1-0 -1\n", "1-0 3\nabc", "999-0 24\nevents 1 1 1 x\nforeign 99"} {
		n.command(t, "PUBLISH", n.keys[0], message)
	}
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

// The stream shows what no message has: an event whose message was lost, and one that is too large for a message.
func TestEventsWithoutAMessageAreRead(t *testing.T) {
	n := connect(t, redistest.Start(t))
	n.Publish(Batch{N: 1, Raw: []byte("first")})
	last := n.gets(t, "first")
	foreign(t, n, fmt.Sprintf("%d-0", last+1), batchField, "events 1 1 1 x\nlost")
	n.gets(t, "lost")
	large := strings.Repeat("x", maxPublished)
	for _, text := range []string{large, "small"} {
		n.Publish(Batch{N: 1, Raw: []byte(text)})
		n.gets(t, text)
	}
}

// Entries that were not lost are not delivered again, and new entries get larger numbers than the lost entries.
func TestBrokerThatLosesItsLastEntriesContinues(t *testing.T) {
	n := connect(t, redistest.Start(t))
	for _, text := range []string{"one", "two", "three"} {
		n.Publish(Batch{N: 1, Raw: []byte(text)})
		n.gets(t, text)
	}
	late := &Broker{address: n.address, keys: n.keys, ctx: n.ctx,
		deliver: func(all []Batch) { t.Errorf("%+v", all) }}
	late.lines[reading].patience = answerWithin
	late.seq.Store(50)
	checktest.Equal(t, late.catchUp(), nil)
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
	for _, epoch := range []string{"", "a\ndata: x", "A", "a b", strings.Repeat("z", 20)} {
		n.command(t, "HSET", n.keys[1], "epoch", epoch)
		_, err := ConnectBroker(n.address, "", 0, func(logfile.Level, string) {})
		checktest.Truef(t, err != nil && strings.Contains(err.Error(), "the epoch in {fapws}:state is not one of fapws"),
			"epoch %q: %v", epoch, err)
	}
}

// A server with sentinels finds the new master after a failover, also if the first sentinel does not answer.
func TestSentinelsLeadToTheNewMaster(t *testing.T) {
	first := redistest.Start(t)
	second := redistest.Start(t, "--replicaof", "127.0.0.1 "+redistest.PortOf(first.Address))
	sentinel, file := redistest.FreeAddress(t), t.TempDir()+"/sentinel.conf"
	checktest.Must(t, os.WriteFile(file, fmt.Appendf(nil, "port %s\nsentinel monitor main 127.0.0.1 %s 1\n",
		redistest.PortOf(sentinel), redistest.PortOf(first.Address)), 0o600))
	redistest.Run(t, sentinel, file, "--sentinel")
	url := "redis+sentinel://" + redistest.FreeAddress(t) + "," + sentinel + "/main"
	n := dialURL(t, url).start()
	n.Publish(Batch{N: 1, Raw: []byte("before")})
	n.gets(t, "before")
	ask := func(address, command string, args ...any) (any, error) {
		c, err := redis.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return c.Do(command, args...)
	}
	holds := func(count int) func() bool {
		return func() bool {
			length, err := redis.Int(ask(second.Address, "XLEN", n.keys[0]))
			return err == nil && length == count
		}
	}
	checktest.Eventually(t, "the replica has the event", holds(1))
	checktest.Eventually(t, "the sentinel fails over", func() bool {
		_, err := ask(sentinel, "SENTINEL", "FAILOVER", "main") // fails until the sentinel knows the replica
		return err == nil
	})
	// The former master takes events for some seconds more, and would lose them when it becomes a replica.
	checktest.Eventually(t, "the former master is a replica", func() bool {
		role, err := redis.Values(ask(first.Address, "ROLE"))
		return err == nil && len(role) > 0 && fmt.Sprintf("%s", role[0]) == "slave"
	})
	n.Publish(Batch{N: 1, Raw: []byte("after")})
	n.gets(t, "after")
	checktest.Truef(t, holds(2)(), "the new master lacks the event")
}

func TestSubscribersOfAllServersAreCounted(t *testing.T) {
	s := redistest.Start(t)
	a, b := dial(t, s), dial(t, s)
	index := a.keys[0][:strings.Index(a.keys[0], "events")] + "counts"
	a.shareCounts(map[string]int64{"news": 3, "chat": 1})
	checktest.Equal(t, b.shareCounts(map[string]int64{"news": 5}), map[string]int64{"news": 3, "chat": 1})
	checktest.Equal(t, b.shareCounts(nil), nil)
	checktest.Equal(t, a.shareCounts(map[string]int64{}), map[string]int64{"news": 5})
	checktest.Equal(t, b.shareCounts(nil), map[string]int64{})
	a.shareCounts(map[string]int64{"news": 7})
	checktest.Equal(t, b.shareCounts(nil), map[string]int64{"news": 7})

	// Another program has written numbers that are none, and the broker has lost those of a.
	b.command(t, "HSET", index, "other", fmt.Sprint("1 ", time.Now().Unix()))
	b.command(t, "SET", index+":other", `{"news":-1,"chat":2,"large":99999999999}`)
	b.command(t, "DEL", index+":"+a.node)
	b.command(t, "HDEL", index, a.node)
	checktest.Equal(t, b.shareCounts(nil), map[string]int64{"chat": 2})
	a.shareCounts(nil)
	a.shareCounts(nil)
	checktest.Equal(t, b.shareCounts(nil)["news"], 7)

	a.Close(0)
	checktest.Equal(t, b.shareCounts(nil)["news"], 0)
	b.command(t, "HSET", index, "other", fmt.Sprint("1 ", time.Now().Unix()-countsLive)) // it has died
	checktest.Equal(t, b.shareCounts(nil), map[string]int64{})
	b.command(t, "HSET", index, "other", fmt.Sprint("2 ", time.Now().Unix()))
	checktest.Equal(t, b.shareCounts(nil), map[string]int64{"chat": 2})
	s.Kill()
	checktest.Equal(t, b.shareCounts(nil), nil)
	b.counts.seen = time.Now().Add(-2 * countsLive * time.Second)
	checktest.Equal(t, b.shareCounts(nil), map[string]int64{})
}

func TestServersHearThatNumbersOfAnotherOneHaveChanged(t *testing.T) {
	s := redistest.Start(t)
	a, b := connect(t, s), connect(t, s)
	await := func(n *node, what string) { // The first value comes with the connection.
		t.Helper()
		select {
		case <-n.counts.stale:
		case <-time.After(checktest.Patience):
			t.Fatal(what)
		}
	}
	await(a, "a does not subscribe")
	await(b, "b does not subscribe")
	for _, own := range []map[string]int64{{"news": 1}, {"news": 2}, {}} {
		a.shareCounts(own)
		await(b, fmt.Sprint("b does not hear of ", own))
	}
	a.shareCounts(nil)
	a.Publish(Batch{N: 1, Raw: []byte("last")})
	a.gets(t, "last")
	b.gets(t, "last")
	checktest.Equal(t, len(a.counts.stale), 0)
	checktest.Equal(t, len(b.counts.stale), 0)
	b.command(t, "CLIENT", "KILL", "TYPE", "pubsub")
	await(b, "b may have missed a message, and does not exchange numbers")
}

func TestNumbersThatTheBrokerRefusesAreReportedOnce(t *testing.T) {
	s := redistest.Start(t)
	n := dial(t, s)
	n.command(t, "SET", n.address.key("counts"), "no hash")
	for range 2 {
		checktest.Equal(t, n.shareCounts(map[string]int64{"news": 1}), nil)
	}
	n.says(t, "the subscribers of other servers are not counted: redis://"+s.Address+" refuses the numbers (")
	checktest.Equal(t, len(n.lines), 0)
}

// A command of many words, which Redis refuses before a login with a protocol error, is reported like the others.
func TestRefusalForLackOfALoginNamesTheRemedy(t *testing.T) {
	s := redistest.Start(t, "--requirepass", "secret")
	for _, words := range []int{1, 20} {
		c, err := redis.Dial("tcp", s.Address)
		checktest.Must(t, err)
		defer c.Close()
		_, err = c.Do("DEL", redis.Args{}.AddFlat(make([]string, words))...)
		checktest.Truef(t, err != nil && strings.Contains(reason(err), "(give redis://USER:PASSWORD@HOST"), "%d: %v",
			words, err)
	}
}
