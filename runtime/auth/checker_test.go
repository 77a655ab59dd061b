package auth

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
)

func fixed(now *time.Duration) *Checker {
	c := NewChecker()
	var mu sync.Mutex
	c.now = func() time.Duration { mu.Lock(); defer mu.Unlock(); return *now }
	c.most = 1
	return c
}

// userFile creates a file with users. The password of each user is the reversed user name, and its hash is cheap to
// compute.
func userFile(t testing.TB, c *Checker, names ...string) *Users {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	var text string
	for _, name := range names {
		text += name + ":" + apr1("right") + "\n"
	}
	checktest.Must(t, os.WriteFile(file, []byte(text), 0o600))
	return checktest.Try(NewUsers(c, file, false, nil)).Must(t)
}

func blocked(c *Checker) (release func()) {
	c.mu.Lock()
	c.running = c.most
	c.mu.Unlock()
	return func() { c.work() }
}

type results struct {
	mu    sync.Mutex
	order []string
	of    map[string]Verdict
}

func (r *results) check(u *Users, client, user, password string) *Check {
	return r.checkOn(nil, u, client, user, password)
}

func (r *results) checkOn(conn any, u *Users, client, user, password string) *Check {
	name := client + " " + user + " " + password
	return u.Check(Origin{Addr: client, Conn: conn}, user, password, func(v Verdict) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.of == nil {
			r.of = map[string]Verdict{}
		}
		r.of[name] = v
		r.order = append(r.order, name)
	})
}

func (r *results) verdict(name string) Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[name]
}

func (c *Checker) fail(u *Users, client, user string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.addresses.count(conn.Network(client), c.now())
		c.accounts.count(account{u, user}, c.now())
	}
}

// Many clients guess passwords, and no guess is rejected, because the queue is not full.
func TestFloodOfGuessesDoesNotDelayOtherUsers(t *testing.T) {
	var now time.Duration
	c := fixed(&now)
	u := userFile(t, c, "admin", "ann", "bob")
	for i := range 80 {
		c.fail(u, fmt.Sprintf("192.0.2.%d", i), "admin", 60)
	}
	c.fail(u, "2001:db8::1", "nobody", 60)
	release := blocked(c)
	var r results
	for i := range 80 {
		r.check(u, fmt.Sprintf("192.0.2.%d", i), "admin", fmt.Sprint("guess", i))
	}
	// The correct password, from a network that has guessed wrong passwords for the same account.
	r.check(u, "192.0.2.1", "admin", "right")
	r.check(u, "198.51.100.1", "admin", "right")
	r.check(u, "2001:db8::ffff", "ann", "right")
	r.check(u, "198.51.100.1", "ann", "right")
	r.check(u, "192.0.2.1", "bob", "right")
	// After this time, the queued checks precede a new check, although the new check has a smaller penalty.
	now += 2*maxPenalty + time.Second
	r.check(u, "198.51.100.2", "bob", "right")
	release()
	checktest.Truef(t, r.order[0] == "198.51.100.1 ann right" && slices.Index(r.order, "192.0.2.1 bob right") <= 5,
		"not the first ones: %q", r.order)
	checktest.Equalf(t, r.order[len(r.order)-1], "198.51.100.2 bob right", "went last")
	for _, name := range []string{"192.0.2.1 admin right", "192.0.2.1 bob right", "198.51.100.1 admin right",
		"2001:db8::ffff ann right", "198.51.100.1 ann right", "198.51.100.2 bob right"} {
		checktest.Equalf(t, r.verdict(name), Right, "%s", name)
	}
}

func TestManyChecksOfOneNetworkDoNotDelayOthers(t *testing.T) {
	var now time.Duration
	c := fixed(&now)
	u := userFile(t, c, "admin", "ann", "bob", "eve")
	var r results
	r.check(u, "192.0.2.9", "admin", "right")
	eventually(t, "the first one", func() bool { return r.verdict("192.0.2.9 admin right") == Right })
	for i := range 80 {
		c.fail(u, fmt.Sprintf("198.51.100.%d", i), "admin", 60)
	}
	release := blocked(c)
	for i := range 100 {
		r.check(u, fmt.Sprintf("2001:db8::%x", i), "eve", "right")
	}
	for i := range 100 {
		r.checkOn("one", u, fmt.Sprintf("2001:db8:0:1::%x", i), "eve", "right")
	}
	gone := r.check(u, "192.0.2.3", "eve", "right")
	// The correct password, from a network without guesses, for an account whose password is guessed.
	r.check(u, "198.51.100.200", "admin", "right")
	now += 400 * time.Millisecond
	r.check(u, "192.0.2.4", "ann", "right")
	// The correct password, on a new connection, from the network of a connection with many checks.
	r.checkOn("two", u, "2001:db8:0:1::ffff", "bob", "right")
	// This check is from a network from which admin has logged in before.
	r.check(u, "192.0.2.9", "admin", "right")
	gone.Defer()
	r.order = nil
	release()
	for name, latest := range map[string]int{
		"192.0.2.4 ann right": 12, "192.0.2.9 admin right": 12, "2001:db8:0:1::ffff bob right": 115,
		"198.51.100.200 admin right": 130,
		"2001:db8::63 eve right":     110, "2001:db8:0:1::63 eve right": 203, "192.0.2.3 eve right": 204,
	} {
		at := slices.Index(r.order, name)
		checktest.Truef(t, at >= 0 && at <= latest, "%s: %d of %d", name, at, len(r.order))
	}
	checktest.Equalf(t, r.order[len(r.order)-1], "192.0.2.3 eve right", "a client that has left does not come last")
}

func TestLastChecksInAFullQueueAreRejected(t *testing.T) {
	var now time.Duration
	c := fixed(&now)
	u := userFile(t, c, "admin", "ann")
	c.fail(u, "192.0.2.1", "admin", 60)
	release := blocked(c)
	var r results
	for i := range maxWaiting + 50 {
		now += time.Millisecond
		r.check(u, "192.0.2.1", "admin", fmt.Sprint("guess", i))
	}
	r.check(u, "198.51.100.1", "ann", "right")
	c.mu.Lock()
	checktest.Equalf(t, len(c.waiting), maxWaiting, "wait")
	c.mu.Unlock()
	eventually(t, "51 are refused", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.of) == 51
	})
	for name, v := range r.of {
		checktest.Equalf(t, v, Busy, "%s", name)
	}
	checktest.Truef(t, r.verdict("192.0.2.1 admin guess0") != Busy, "the first one was refused")
	release()
	checktest.Equalf(t, r.verdict("198.51.100.1 ann right"), Right, "the right one")
	for _, k := range c.waiting {
		k.Cancel()
	}
}

// In a full queue, a new check replaces the check of a client that has probably disconnected, even if both clients are
// in the same network.
func TestChecksOfDisconnectedClientsAreReplacedFirst(t *testing.T) {
	var now time.Duration
	c := fixed(&now)
	u := userFile(t, c, "admin", "ann")
	release := blocked(c)
	var all []*Check
	for i := range 2 * maxWaiting {
		all = append(all, u.Check(Origin{Addr: "192.0.2.1", Ends: true}, "admin", fmt.Sprint("guess", i), func(Verdict) {}))
	}
	var r results
	r.check(u, "192.0.2.1", "ann", "right")
	release()
	eventually(t, "the right one has a verdict", func() bool { return r.verdict("192.0.2.1 ann right") != Unknown })
	checktest.Equalf(t, r.verdict("192.0.2.1 ann right"), Right, "the right one")
	for _, k := range all {
		k.Cancel()
	}
}

func TestRepeatedWrongPasswordIsComputedAndCountedOnce(t *testing.T) {
	var now time.Duration
	c := fixed(&now)
	u := userFile(t, c, "admin")
	var r results
	wait := func(name string, want Verdict) {
		t.Helper()
		eventually(t, name, func() bool { return r.verdict(name) == want })
	}
	for i := range freeOfCost {
		r.check(u, "192.0.2.1", "admin", fmt.Sprint("guess", i))
		wait(fmt.Sprint("192.0.2.1 admin guess", i), Wrong)
		checktest.Equalf(t, u.Known([]byte(fmt.Sprint("admin:guess", i))), Wrong, "guess %d", i)
		r.check(u, "192.0.2.1", "admin", fmt.Sprint("guess", i))
	}
	eventually(t, "all are answered", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.order) == 2*freeOfCost
	})
	c.mu.Lock()
	f, _ := c.addresses.get("192.0.2.1")
	checktest.Equalf(t, f.n, freeOfCost, "failures")
	c.mu.Unlock()
	// From here on, verdicts on wrong passwords are delayed, also for a client that repeats its request.
	held := r.check(u, "192.0.2.1", "admin", "held")
	eventually(t, "it was computed", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return held.answer != nil })
	checktest.Equalf(t, u.Known([]byte("admin:held")), Unknown, "held back")
	again := r.check(u, "192.0.2.2", "admin", "held")
	eventually(t, "it is held back, too", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return again.answer != nil })
	wait("192.0.2.1 admin held", Wrong)
	c.mu.Lock()
	f, _ = c.accounts.get(account{u, "admin"})
	checktest.Equalf(t, f.n, freeOfCost+1, "failures")
	c.mu.Unlock()
	now += maxPenalty
	checktest.Equalf(t, u.Known([]byte("admin:held")), Wrong, "later")
	r.check(u, "192.0.2.1", "admin", "right")
	wait("192.0.2.1 admin right", Right)
}

func TestCancelledCheckGetsNoAnswer(t *testing.T) {
	var now time.Duration
	c := fixed(&now)
	u := userFile(t, c, "admin")
	c.fail(u, "192.0.2.1", "admin", 1000)
	release := blocked(c)
	var r results
	waits := r.check(u, "192.0.2.1", "admin", "a")
	waits.Cancel()
	waits.Cancel()
	held := r.check(u, "192.0.2.1", "admin", "b")
	release()
	checktest.Truef(t, held.answer != nil, "the answer is not held back")
	held.Cancel()
	checktest.Truef(t, !held.answer.Stop(), "an answer would still come")
	checktest.Truef(t, len(c.waiting) == 0 && len(r.order) == 0, "%d wait, %q", len(c.waiting), r.order)
}

func TestPenaltyGrowsWithFailuresAndHalves(t *testing.T) {
	f := failures[string]{recent[string, tally]{size: maxFailures}}
	at := func(n int, want time.Duration) {
		t.Helper()
		for range n {
			f.count("a", 0)
		}
		checktest.Equalf(t, f.penalty("a", 0), want, "after %v more failures", n)
	}
	at(0, 0)
	at(freeOfCost, 0)
	at(2, 2*eachCosts)
	at(1000, maxPenalty)
	checktest.Equalf(t, f.penalty("a", 10*halfLife), 0, "after ten minutes")
	checktest.Equalf(t, f.penalty("b", 0), 0, "others pay")
	for i := range 3 * maxFailures {
		f.count(fmt.Sprint(i), time.Duration(i))
	}
	n := len(f.newer) + len(f.older)
	checktest.Truef(t, n <= 2*maxFailures, "%d are remembered", n)
	for in, want := range map[string]string{"": "", "192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64"} {
		if want == "192.0.2.1" {
			want = conn.Network("192.0.2.1")
		}
		got := conn.Network(in)
		checktest.Truef(t, got == want || in == "::ffff:192.0.2.1", "%s: %s, want %s", in, got, want)
	}
}

func TestRecentKeepsEntriesInUse(t *testing.T) {
	m := recent[int, bool]{size: 10}
	has := func(k int) bool {
		_, ok := m.get(k)
		return ok
	}
	for i := range 100 {
		m.add(i, true)
		checktest.Needf(t, has(0), "the first is forgotten after %d", i)
	}
	checktest.Truef(t, len(m.newer)+len(m.older) <= 20 && has(95) && !has(50), "%d and %d", len(m.newer), len(m.older))
}

func TestKnownDoesNotAllocate(t *testing.T) {
	u := userFile(t, NewChecker(), "one")
	b := checktest.Try(NewBasic("", u)).Must(t)
	var buf [maxText]byte
	wrong := credentials("one", "wrong")
	check(b, "", wrong)
	n := testing.AllocsPerRun(100, func() { b.Known(decode(buf[:], wrong)) })
	checktest.Equalf(t, n, 0, "allocations")
	right := credentials("one", "right")
	check(b, "", right)
	n = testing.AllocsPerRun(100, func() { b.Known(decode(buf[:], right)) })
	checktest.Equalf(t, n, 0, "allocations")
	long := credentials("one", string(slices.Repeat([]byte("x"), 2*maxText)))
	checktest.Equalf(t, decode(buf[:], long), nil, "long ones")
	checktest.Equalf(t, u.Known(slices.Repeat([]byte("x"), 2*maxText)), Unknown, "a long pair")
}
