package auth

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"fapws/runtime/conn"
)

// Checker computes hashes of passwords: a few at a time, in the order of arrival, but for
// those of clients and accounts that many wrong ones were for (penalty). One is enough for a
// process. Its methods are safe for concurrent use.
type Checker struct {
	now func() time.Duration // since some moment

	mu        sync.Mutex
	waiting   []*Check // the one due first is the first
	running   int      // goroutines that compute
	most      int      // of them
	addresses failures[string]
	accounts  failures[account]
	friends   recent[friend, bool] // networks from which users have logged in
}

// Origin is where a check comes from.
type Origin struct {
	Addr string // IP address of the client, "" without one
	Conn any    // comparable: the connection; checks with the same one wait for each other. nil: not known
	Ends bool   // the client sends no more, and has probably left: the check waits behind all others, as after Defer
}

type account struct {
	users *Users
	name  string
}

// maxWaiting is how many checks may wait. Each is one connection, and a few hundred bytes.
const maxWaiting = 1024

// NewChecker returns a Checker that uses up to half of the processors.
func NewChecker() *Checker {
	started := time.Now()
	return &Checker{
		now:       func() time.Duration { return time.Since(started) },
		most:      max(1, runtime.GOMAXPROCS(0)/2),
		addresses: failures[string]{recent[string, tally]{size: maxFailures}},
		accounts:  failures[account]{recent[account, tally]{size: maxFailures}},
		friends:   recent[friend, bool]{size: maxFriends},
	}
}

// Verdict is the result of a check of a name and a password.
type Verdict uint8

// The verdicts.
const (
	Unknown Verdict = iota // it has to be checked
	Right
	Wrong
	Busy // too many checks wait: try again later
)

// Check is one name with one password under way.
type Check struct {
	checker        *Checker
	users          *Users
	client         string // its network
	conn           any
	user, password string
	done           func(Verdict)

	due       time.Duration // waiting checks are sorted by it
	answer    *time.Timer   // of a wrong one that is held back
	cancelled bool
}

// Check calls done with Right, Wrong or Busy, once and on another goroutine, unless the check is cancelled before.
//
// A wrong password is answered later the more of them came from the client's network or for
// the account within the last minutes, so that guessing in many connections at once leaves time for
// others.
func (u *Users) Check(from Origin, user, password string, done func(Verdict)) *Check {
	c := u.checker
	k := &Check{checker: c, users: u, client: conn.Network(from.Addr), conn: from.Conn, user: user, password: password, done: done}
	c.mu.Lock()
	defer c.mu.Unlock()
	k.due = c.now() + c.ofClient(k) + c.ofQueue(k)
	if _, known := c.friends.get(friend{k.account(), k.client}); !known {
		k.due += c.ofAccount(k)
	}
	if from.Ends {
		k.due += longAfter
	}
	c.enqueue(k)
	if len(c.waiting) > maxWaiting {
		last := c.waiting[maxWaiting]
		c.dequeue(last)
		go last.tell(Busy)
	}
	if c.running < c.most {
		c.running++
		go c.work()
	}
	return k
}

// Cancel gives the check up: its client has left. done may be running.
func (k *Check) Cancel() {
	c := k.checker
	c.mu.Lock()
	defer c.mu.Unlock()
	k.cancelled = true
	c.dequeue(k)
	if k.answer != nil {
		k.answer.Stop()
	}
}

// Defer puts the check behind all others: its client has probably left.
func (k *Check) Defer() {
	c := k.checker
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dequeue(k) {
		k.due += longAfter
		c.enqueue(k)
	}
}

// longAfter is later than all that waits.
const longAfter = time.Hour

// enqueue puts a check behind those that are due before it or at the same time. c.mu is held.
func (c *Checker) enqueue(k *Check) {
	at := slices.IndexFunc(c.waiting, func(other *Check) bool { return other.due > k.due })
	if at < 0 {
		at = len(c.waiting)
	}
	c.waiting = slices.Insert(c.waiting, at, k)
}

// dequeue takes a check from the queue, and reports whether it was in it. c.mu is held.
func (c *Checker) dequeue(k *Check) bool {
	at := slices.Index(c.waiting, k)
	if at < 0 {
		return false
	}
	c.waiting = slices.Delete(c.waiting, at, at+1)
	return true
}

// tell calls done, unless it was cancelled.
func (k *Check) tell(v Verdict) {
	k.checker.mu.Lock()
	cancelled := k.cancelled
	k.checker.mu.Unlock()
	if !cancelled {
		k.done(v)
	}
}

// work computes until nothing waits.
func (c *Checker) work() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.running--
			c.mu.Unlock()
			return
		}
		k := c.waiting[0]
		c.dequeue(k)
		c.mu.Unlock()
		v, delay := k.users.verify(k.user, k.password, func(computed bool) time.Duration { return c.failed(k, computed) })
		c.mu.Lock()
		if v == Right {
			c.friends.add(friend{k.account(), k.client}, true)
		}
		if delay > 0 && !k.cancelled {
			k.answer = time.AfterFunc(delay, func() { k.tell(v) })
		}
		c.mu.Unlock()
		if delay == 0 {
			k.tell(v)
		}
	}
}

// failed counts a wrong password, unless it is one that was tried before, and returns how
// long its answer is held back.
func (c *Checker) failed(k *Check, counts bool) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if counts {
		now := c.now()
		c.addresses.count(k.client, now)
		c.accounts.count(k.account(), now)
	}
	return max(c.ofClient(k), c.ofAccount(k))
}

// ofClient and ofAccount return by how much k is worse off than others. c.mu is held.
func (c *Checker) ofClient(k *Check) time.Duration { return c.addresses.penalty(k.client, c.now()) }

func (c *Checker) ofAccount(k *Check) time.Duration { return c.accounts.penalty(k.account(), c.now()) }

// ofQueue is for the checks that wait already: those of a network share the time with other networks, and those of one
// connection, which may have sent many requests at once, wait behind other connections.
func (c *Checker) ofQueue(k *Check) time.Duration {
	var ofNetwork, ofConn time.Duration
	for _, other := range c.waiting {
		if other.client == k.client {
			ofNetwork += eachWaits
		}
		if k.conn != nil && other.conn == k.conn {
			ofConn += eachFollows
		}
	}
	return min(ofNetwork, maxPenalty) + min(ofConn, maxFollows)
}

const (
	eachWaits   = 60 * time.Millisecond // about what a check takes
	eachFollows = time.Second
	maxFollows  = time.Minute
)

func (k *Check) account() account { return account{k.users, clip(k.user)} }

// clip bounds a name that a client has made up, to be remembered.
func clip(name string) string { return name[:min(len(name), 64)] }

// failures counts wrong passwords by client or account. Each counts half after a minute, so nothing counts against a
// client for long.
type failures[K comparable] struct{ recent[K, tally] }

type tally struct {
	n  float64
	at time.Duration // when n was right
}

const (
	halfLife    = time.Minute
	freeOfCost  = 5                      // wrong passwords without a penalty
	eachCosts   = 250 * time.Millisecond // of the others
	maxPenalty  = 10 * time.Second
	maxFailures = 2048 // clients or accounts that are remembered, and as many older ones
)

func (t tally) now(now time.Duration) float64 {
	return t.n * math.Exp2(-float64(now-t.at)/float64(halfLife))
}

func (f *failures[K]) count(key K, now time.Duration) {
	t, _ := f.get(key)
	f.add(key, tally{t.now(now) + 1, now})
}

// penalty returns how long a wrong password waits for its answer.
func (f *failures[K]) penalty(key K, now time.Duration) time.Duration {
	t, _ := f.get(key)
	over := t.now(now) - freeOfCost
	return time.Duration(min(max(over, 0)*float64(eachCosts), float64(maxPenalty)))
}

// friend is a network from which a user has logged in.
type friend struct {
	account account
	network string
}

// maxFriends bounds the friends that are remembered.
const maxFriends = 1024
