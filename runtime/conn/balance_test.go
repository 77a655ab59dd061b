package conn

import (
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop/looptest"
)

// The loop of the acceptor never runs, so the tests themselves call the method left. The loop stays open, because timers
// of the acceptor post to the loop.
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
