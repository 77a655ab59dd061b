package pool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop"
)

func ended(t testing.TB) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("true")
	checktest.Must(t, cmd.Run())
	return cmd
}

var outboxes sync.Map

func inbox(w *worker) []datagram {
	w.out.queue.Wait(patience)
	all, ok := outboxes.Load(w)
	if !ok {
		return nil
	}
	return *all.(*[]datagram)
}

// suspects returns a Pool that does not run, and its two workers in the state Serving. inbox returns the messages that
// the Pool has sent to a worker.
func suspects(t testing.TB, process *exec.Cmd) (p *Pool, attacker, victim *worker) {
	t.Helper()
	p = New(idle())
	add := func(pid int) *worker {
		w := newWorker(p, process, nil)
		w.Pid, w.State, w.Joined = pid, Serving, true
		w.out.queue = eventloop.NewQueue(func(some []datagram) {
			all, _ := outboxes.LoadOrStore(w, &[]datagram{})
			*all.(*[]datagram) = append(*all.(*[]datagram), some...)
		})
		p.workers[pid] = w
		return w
	}
	attacker, victim = add(1), add(2)
	p.relay.count(victim, map[string]int64{"news": 3})
	return p, attacker, victim
}

func discard(p *Pool) {
	close(p.over)
	if p.relay.due != nil {
		p.relay.due.Stop()
	}
	for _, w := range p.workers {
		for _, d := range inbox(w) {
			closeDescriptors(d.fds)
		}
		outboxes.Delete(w)
	}
}

func TestWorkerThatSendsForgedMessagesIsKilled(t *testing.T) {
	process := ended(t)
	text, large := strings.Repeat("x", 128<<10), make([]byte, 65<<20+1)
	for _, tt := range []struct {
		what  string
		times int
		state State
		sent  Message
	}{
		{"sent the message \"certificates\" while it was serving", 1, Serving,
			Message{Kind: Certificates, Raw: []byte("{}")}},
		{"asked for certificates twice", 2, Starting, Message{Kind: Certificates, Raw: []byte("{}")}},
		{"sent more than 1 MiB of a question", 1, Starting, Message{Kind: Certificates, Raw: large[:1<<20+1]}},
		{"sent more than 1 MiB of settings", 1, Starting, Message{Kind: Configured, Raw: large[:1<<20+1]}},
		{"sent more than 8 MiB of an answer", 1, Serving, Message{Kind: Answer, ID: 7, Raw: large[:8<<20+1]}},
		{"sent more than 8 MiB of last words", 1, Serving, Message{Kind: LastWords, Raw: large[:8<<20+1]}},
		{"sent more than 65 MiB of events", 1, Serving, Message{Kind: Publish, N: 1, Raw: large}},
		{"published 1000 events in ", 1, Serving, Message{Kind: Publish, N: 1000, Raw: []byte("xxxx")}},
		{"counted -1 subscribers", 1, Serving, Message{Kind: Counts, Counts: map[string]int64{"news": -1}}},
		{"counted 9223372036854775807 subscribers", 1, Serving,
			Message{Kind: Counts, Counts: map[string]int64{"news": 1<<63 - 1}}},
		{"counted 1 subscribers of", 1, Serving, Message{Kind: Counts, Counts: map[string]int64{text: 1}}},
	} {
		p, attacker, victim := suspects(t, process)
		attacker.State = tt.state
		attacker.questions.open.Store(uint64(7), make(chan *Message, 1))
		n := 0
		for ; n < tt.times && attacker.why == ""; n++ {
			p.heard(attacker, &tt.sent)
		}
		checktest.Truef(t, strings.HasPrefix(attacker.why, tt.what), "%s: after %d messages: %q", tt.what, n, attacker.why)
		checktest.Truef(t, victim.why == "" && p.relay.seq == 0 && p.relay.subscribers("news") == 3,
			"%s: the other worker %s; event %d, %d subscribers", tt.what, victim.why, p.relay.seq, p.relay.subscribers("news"))
		p.heard(attacker, &Message{Kind: Publish, N: 1, Raw: []byte("xxxx")})
		checktest.Equalf(t, p.relay.seq, 0, "%s: it is still listened to", tt.what)
		discard(p)
	}
}

func TestWorkerWithManyChannelsIsNotKilled(t *testing.T) {
	p, attacker, _ := suspects(t, ended(t))
	defer discard(p)
	name := func(i int) string { return fmt.Sprintf("%0*d", maxName, i) }
	const most = maxCounted / (maxName + 64)
	for i := range most + 10 {
		p.heard(attacker, &Message{Kind: Counts, Counts: map[string]int64{name(i): 1}})
	}
	checktest.Truef(t, attacker.why == "" && attacker.counted <= maxCounted && p.relay.subscribers(name(most-1)) == 1 &&
		p.relay.subscribers(name(most+1)) == 0, "%q; %d bytes are counted", attacker.why, attacker.counted)
	p.heard(attacker, &Message{Kind: Counts, Counts: map[string]int64{name(0): 0, name(most + 1): 0}})
	p.heard(attacker, &Message{Kind: Counts, Counts: map[string]int64{name(most + 1): 2}})
	checktest.Equalf(t, p.relay.subscribers(name(most+1)), 2, "there is no room again")
}

func TestMessagesChangeOnlyWhatTheTableTrustAllows(t *testing.T) {
	process := ended(t)
	forgery := fmt.Appendf(nil, `{"Protocol":%d,"GracefulTimeout":7,"App":"forged"}`, Protocol)
	for kind := range trust {
		for at := range Dead {
			p, attacker, victim := suspects(t, process)
			p.adopted, p.want = 1, 2
			attacker.State, attacker.Exit, attacker.Belief = at, leaves, settled
			if attacker.sleeps() {
				attacker.Role = Asleep
			}
			attacker.settled = Settled{App: "true"}
			attacker.limit = time.AfterFunc(time.Hour, func() {})
			for range 2 {
				p.heard(attacker, &Message{Kind: kind, ID: 1, Text: "x", Hung: true, N: 1,
					Counts: map[string]int64{"a": 1}, Raw: forgery})
			}
			if forges := trust[kind][at] == forged; forges != strings.Contains(attacker.why, "sent the message") {
				checktest.Truef(t, kind == Configured || kind == Confined || kind == Loaded,
					"%s while it is %s: %q", kind, at, attacker.why)
			}
			checktest.Truef(t, (at == Starting || at == Sleeping || attacker.settled.App != "forged") &&
				p.settled.App != "forged", "%s while it is %s: the settings of the message are believed", kind, at)
			checktest.Truef(t, victim.why == "" && victim.State == Serving && victim.Exit == stays && !p.stopping &&
				p.batch == nil &&
				len(p.workers) == 2, "%s while it is %s: the other worker %s; %d workers", kind, at, victim.why, len(p.workers))
			p.pace.reset()
			attacker.unlimit()
			discard(p)
		}
	}
}

func TestWorkerCannotPutTheApplicationToSleepEarly(t *testing.T) {
	p, attacker, victim := suspects(t, ended(t))
	defer discard(p)
	p.settled.IdleStop, p.adopted = time.Minute, 1
	attacker.awakeSince, victim.awakeSince = time.Now(), time.Now().Add(-time.Hour)
	p.heard(victim, &Message{Kind: Unused})
	p.heard(attacker, &Message{Kind: Unused})
	checktest.Truef(t, victim.unused && !attacker.unused && p.batch == nil,
		"%v, %v, %v", victim.unused, attacker.unused, p.batch)
}

// A worker that has just loaded waits for its past events, even if it was told to stop or was replaced meanwhile.
func TestWorkerThatJoinsAfterItsStopGetsAnAnswer(t *testing.T) {
	for _, state := range []State{Retiring, Ending} {
		p, joining, _ := suspects(t, ended(t))
		joining.State, joining.Joined = state, false
		p.heard(joining, &Message{Kind: Join})
		took := func(d datagram) bool { return strings.Contains(string(d.text), string(Take)) }
		checktest.Truef(t, slices.ContainsFunc(inbox(joining), took), "in the state %v, the worker waits", state)
		discard(p)
	}
}

func TestReplacementsOfNewWorkersPause(t *testing.T) {
	p, attacker, _ := suspects(t, ended(t))
	defer discard(p)
	p.adopted, p.want = 1, 2
	p.heard(attacker, &Message{Kind: Recycle, Text: "x"})
	checktest.Needf(t, p.pace.pause != nil && attacker.Exit == replaced && len(p.workers) == 2,
		"%v, %d workers", p.pace.pause, len(p.workers))
	p.pace.pause.Stop()
}

func TestReasonOfAWorkerIsOneLine(t *testing.T) {
	p, attacker, _ := suspects(t, ended(t))
	defer discard(p)
	p.heard(attacker, &Message{Kind: Failing, Text: "no memory\n2026-01-01 info all is well"})
	checktest.Equal(t, attacker.reason, "no memory")
	p.heard(attacker, &Message{Kind: Failing, Raw: []byte(strings.Repeat("ü", 100_000))})
	checktest.Truef(t, len(attacker.reason) <= maxReason+3 && strings.HasSuffix(attacker.reason, "ü…"),
		"%d bytes", len(attacker.reason))
}

// The worker is killed before its messages use too much memory. If the worker sends too many requests, only some are
// answered.
func TestWorkerThatDoesNotReadItsMessagesIsKilled(t *testing.T) {
	p, attacker, _ := suspects(t, ended(t))
	for range 2 * maxQueries {
		p.heard(attacker, &Message{Kind: Ask, ID: 1, Text: "x"})
	}
	checktest.Truef(t, attacker.querying == maxQueries && len(inbox(attacker)) == maxQueries,
		"%d questions are being answered, %d were refused", attacker.querying, len(inbox(attacker)))
	text := make([]byte, 1<<20)
	for range maxUnread >> 20 {
		attacker.queue([][]byte{text})
	}
	checktest.Truef(t, attacker.out.closed.Load(), "it may go on")
	discard(p)
}

// FuzzHeard checks that no message from a worker stops the supervisor, stops another worker, or corrupts a counter.
func FuzzHeard(f *testing.F) {
	add := func(messages ...*Message) {
		var all []byte
		for _, m := range messages {
			texts := checktest.Try(m.encode()).Must(f)
			all = append(binary.BigEndian.AppendUint16(all, uint16(len(texts[0]))), texts[0]...)
		}
		f.Add(all)
	}
	add(&Message{Kind: Join}, &Message{Kind: Configured, Raw: fmt.Appendf(nil, `{"Protocol":%d,"GracefulTimeout":-1}`,
		Protocol)}, &Message{Kind: Confined}, &Message{Kind: Loaded}, &Message{Kind: Closed})
	add(&Message{Kind: Certificates, Raw: []byte("{}")}, &Message{Kind: Confined})
	add(&Message{Kind: Publish, N: 2, Raw: []byte("\x04news\x00\x00\x01x\x04news\x00\x00\x01x"), ID: 8},
		&Message{Kind: Publish, N: 1, Raw: []byte("xxxx")})
	add(&Message{Kind: Counts, Counts: map[string]int64{"news": 1, "a": 2}},
		&Message{Kind: Counts, Counts: map[string]int64{"a": 0}}, &Message{Kind: Purge, Text: "/"})
	add(&Message{Kind: Ask, ID: 1, Text: "uploads 1 x"}, &Message{Kind: Answer, ID: 7, Raw: []byte("x")},
		&Message{Kind: LastWords, Raw: []byte("[]")})
	add(&Message{Kind: Checked, Text: "x"}, &Message{Kind: Failing, Raw: []byte("x")}, &Message{Kind: Checked})
	process := ended(f)
	f.Fuzz(func(t *testing.T, all []byte) {
		p, attacker, victim := suspects(t, process)
		defer discard(p)
		if len(all) > 0 && all[len(all)-1]&1 == 1 {
			attacker.State, attacker.Joined = Starting, false
			attacker.within(time.Hour, "")
			defer attacker.limit.Stop()
		}
		attacker.questions.open.Store(uint64(7), make(chan *Message, 1))
		size := len(all)
		for len(all) >= 2 {
			n := min(int(binary.BigEndian.Uint16(all)), len(all)-2)
			if m, err := decode(all[2 : 2+n]); err == nil && m.Kind != Recycle {
				p.heard(attacker, m)
			}
			all = all[2+n:]
		}
		checktest.Needf(t, victim.why == "" && victim.State == Serving && !p.stopping, "the other worker %s", victim.why)
		checktest.Needf(t, p.relay.seq <= uint64(size), "event %d", p.relay.seq)
		for name, n := range attacker.Counts {
			checktest.Needf(t, n > 0, "%d subscribers of %q", n, name)
		}
		for _, d := range inbox(victim) {
			m := checktest.Try(decode(d.text)).Must(t)
			switch m.Kind {
			case Events, Purge, Give:
			default:
				t.Fatalf("the other worker gets %+v", m)
			}
		}
	})
}

func channels(t *testing.T) (ours, theirs *Channel) {
	t.Helper()
	ours, file, err := Pair()
	checktest.Must(t, err)
	defer file.Close()
	fd := checktest.Try(unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)).Must(t)
	theirs = checktest.Try(NewChannel(fd)).Must(t)
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestChannelSendsMessagesAndDescriptors(t *testing.T) {
	ours, theirs := channels(t)
	r, w, err := os.Pipe()
	checktest.Must(t, err)
	defer r.Close()
	sent := &Message{Kind: Listen, Addresses: []string{"a"}}
	checktest.Must(t, ours.Send(sent, int(w.Fd())))
	w.Close()
	got, files, err := theirs.Receive()
	checktest.Needf(t, err == nil && reflect.DeepEqual(got, sent) && len(files) == 1,
		"%+v with %d files, %v", got, len(files), err)
	flags, err := unix.FcntlInt(files[0].Fd(), unix.F_GETFD, 0)
	checktest.Truef(t, err == nil && flags&unix.FD_CLOEXEC != 0, "the descriptor is for children too: %x, %v", flags, err)
	io.WriteString(files[0], "through it")
	files[0].Close()
	text, err := io.ReadAll(r)
	checktest.Truef(t, err == nil && string(text) == "through it", "%q, %v", text, err)

	for _, m := range []*Message{{Kind: Ask, Text: strings.Repeat("x", maxObject)},
		{Kind: Events, Raw: make([]byte, maxMessage)}} {
		checktest.Truef(t, ours.Send(m) != nil, "a message that is too long was sent: %s", m.Kind)
	}
	theirs.interrupt()
	_, _, err = theirs.Receive()
	checktest.Truef(t, errors.Is(err, os.ErrDeadlineExceeded), "an interrupted Receive: %v", err)
	theirs.resume()
	ours.Send(&Message{Kind: Stop})
	ours.Close()
	m, _, err := theirs.Receive()
	checktest.Truef(t, err == nil && m.Kind == Stop, "what was sent before the end: %+v, %v", m, err)
	_, _, err = theirs.Receive()
	checktest.Equalf(t, err, io.EOF, "at the end")
	err = theirs.Send(&Message{Kind: Loaded})
	checktest.Truef(t, err != nil, "sent without a receiver")
}

func TestLastMessageOfADeadWorkerIsReceived(t *testing.T) {
	ours, theirs := channels(t)
	for range 3 {
		checktest.Must(t, theirs.Send(&Message{Kind: Publish, N: 1}))
	}
	checktest.Must(t, ours.Send(&Message{Kind: Events}))
	theirs.Close()
	for i := range 3 {
		m, _, err := ours.Receive()
		checktest.Needf(t, err == nil && m.Kind == Publish, "message %d: %+v, %v", i, m, err)
	}
	m, _, err := ours.Receive()
	checktest.Equalf(t, err, io.EOF, "%+v", m)
}

func TestChannelRejectsInvalidMessages(t *testing.T) {
	for _, text := range []string{"", "nonsense", "[]", `{"Kind":7}`, `{"Kind":"answer"`} {
		ours, theirs := channels(t)
		checktest.Try(theirs.conn.Write([]byte(text))).Must(t)
		m, _, err := ours.Receive()
		checktest.Truef(t, err != nil, "%q is %+v", text, m)
	}
}
