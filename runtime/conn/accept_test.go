package conn

import (
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/logfile"
)

type fixture struct {
	Acceptor
	t *testing.T
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	loop := looptest.New(t)
	f := &fixture{t: t}
	f.Events, f.Log = loop, func(level logfile.Level, format string, args ...any) { t.Logf(format, args...) }
	f.Room = func(*Listener) bool { return true }
	f.Accepted = func(_ *Listener, fd int, _, _ net.Addr, _ Verdict) { unix.Close(fd) }
	looptest.Run(t, loop, func() {})
	f.do(func() { f.Configure(AcceptConfig{MaxClients: 2}) })
	return f
}

func (f *fixture) do(run func()) { looptest.Do(f.Events, run) }

// A server without a free descriptor rejects a client, and reads only a limited number of bytes from the client.
func TestFloodOfARejectedClientIsReadOnlyInPart(t *testing.T) {
	f := newFixture(t)
	f.KeepReserve(0)
	defer f.CloseReserve()
	path := t.TempDir() + "/s"
	ln := checktest.Try(Listen("unix:"+path, ListenOptions{})).Must(t)
	defer ln.Close()
	for _, size := range []int{100, 128 << 10} {
		c := checktest.Try(net.Dial("unix", path)).Must(t)
		defer c.Close()
		checktest.Try(c.Write(make([]byte, size))).Must(t)
		f.refuseQueued(ln.Fd())
		// ReadAll fails if the server left input unread, because closing then resets the connection.
		got, err := io.ReadAll(c)
		checktest.Equalf(t, err == nil && string(got) == string(ServiceUnavailable), size == 100,
			"%d bytes: %q, %v", size, got, err)
	}
}

// The loop of the acceptor never runs, so the tests themselves call the method left. The loop stays open, because
// timers of the acceptor post to the loop.
func newBalanced(t *testing.T) *Acceptor {
	a := &Acceptor{Events: looptest.New(t)}
	a.Configure(AcceptConfig{MaxClients: 10000, Concurrency: 1})
	return a
}

func (a *Acceptor) expect(t *testing.T, what string, want Verdict) {
	t.Helper()
	checktest.Equalf(t, a.admit(), want, "%s", what)
}

func TestBusyProcessLeavesConnectionsToOthers(t *testing.T) {
	a := newBalanced(t)
	a.expect(t, "idle", Take)
	e := a.Expect()
	a.expect(t, "a request is expected", Wait)
	a.Occupied(1)
	a.Arrived(e)
	a.expect(t, "it runs", Wait)
	a.Occupied(-1)
	a.expect(t, "it has ended", Take)
	checktest.Truef(t, a.Running() == 0 && a.balance.expected == 0, "%v", a.balance)
}

// Each time connections have waited in the queue for a moment, the process may accept twice as many
// connections as before.
func TestConnectionsThatNobodyAcceptsAreAcceptedAfterAMoment(t *testing.T) {
	a := newBalanced(t)
	a.Occupied(1)
	for _, want := range []int{minAllowed, 2 * minAllowed, 4 * minAllowed} {
		a.expect(t, "before the moment", Wait)
		a.left()
		for range want {
			a.expect(t, "behind the moment", Take)
		}
		a.expect(t, "behind those", Wait)
	}
	a.balance.queueEmpty()
	a.left()
	for range minAllowed {
		a.expect(t, "behind an empty queue", Take)
	}
	a.expect(t, "behind those", Wait)
}

func TestSilentConnectionNoLongerCountsAfterAMoment(t *testing.T) {
	a := newBalanced(t)
	silent := a.Expect()
	a.expect(t, "a request is expected", Wait)
	a.left()
	a.balance.queueEmpty()
	a.expect(t, "it has not come", Take)
	other := a.Expect()
	a.Arrived(silent)
	a.expect(t, "another one is expected", Wait)
	a.Arrived(other)
	a.expect(t, "that has come", Take)
}

func TestClientMayTakeHalfOfTheFreeShares(t *testing.T) {
	s := Shares{Max: 30}
	fill := func(client string) (n int64) {
		for s.Room(client) > 0 {
			s.Add(client, 1)
			n++
		}
		return n
	}
	a, b, c := fill("a"), fill("b"), fill("c")
	checktest.Truef(t, a == 10 && b == 7 && c >= 4, "%v %v %v", a, b, c)
	rest := fill("")
	checktest.Truef(t, s.used == s.Max && rest != 0 && s.Room("d") <= 0, "%v %v", rest, s.used)
	s.Add("a", -10)
	checktest.Truef(t, len(s.clients) == 2 && s.Room("d") == 5 && s.Room("b") <= 0, "%+v", s)
}
