package auth

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"fapws/runtime/conn"
)

// Checker checks passwords against hashes, a few at a time. Checks run in the order of arrival, but checks for clients
// and accounts with many wrong passwords are delayed (penalty). One Checker is sufficient for a process, and safe for
// concurrent use.
type Checker struct {
	now func() time.Duration

	mu        sync.Mutex
	waiting   []*Check // sorted by Check.due
	running   int
	most      int
	addresses failures[string]
	accounts  failures[account]
	friends   recent[friend, bool]
}

type Origin struct {
	Addr string // "" if the client has no IP address
	// Conn is a comparable value that identifies the connection, or nil. Each waiting check from a connection delays
	// the next check from this connection.
	Conn any
	// Ends is set if the client has shut down its sending side. The client has then probably disconnected, so the check
	// runs after all others.
	Ends bool
}

type account struct {
	users *Users
	name  string
}

const maxWaiting = 1024

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

type Verdict uint8

const (
	Unknown Verdict = iota // the password must be checked
	Right
	Wrong
	Busy // too many checks wait; the client may retry later
)

type Check struct {
	checker        *Checker
	users          *Users
	client         string
	conn           any
	user, password string
	done           func(Verdict)

	due       time.Duration
	answer    *time.Timer
	cancelled bool
}

// Check starts checking a password. Check calls the function done once, on another goroutine, with Right, Wrong or
// Busy, unless the check is cancelled.
//
// A wrong password is reported after a delay, which grows with the number of recent wrong passwords from the client's
// network and for the account.
func (u *Users) Check(origin Origin, user, password string, done func(Verdict)) *Check {
	c := u.checker
	k := &Check{checker: c, users: u, client: conn.Network(origin.Addr), conn: origin.Conn, user: user, password: password,
		done: done}
	c.mu.Lock()
	defer c.mu.Unlock()
	k.due = c.now() + c.ofClient(k) + c.ofQueue(k)
	if _, known := c.friends.get(friend{k.account(), k.client}); !known {
		k.due += c.ofAccount(k)
	}
	if origin.Ends {
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

// Cancel cancels the check, and may be called while the function done is running.
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

// Defer makes the check run after all other checks; call Defer if the client has probably disconnected.
func (k *Check) Defer() {
	c := k.checker
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dequeue(k) {
		k.due += longAfter
		c.enqueue(k)
	}
}

// longAfter delays the checks for clients that have probably disconnected. It exceeds every other delay.
const longAfter = time.Hour

// The caller must hold c.mu.
func (c *Checker) enqueue(k *Check) {
	// insert k after the checks that are due at the same time
	at, _ := slices.BinarySearchFunc(c.waiting, k.due+1, func(other *Check, due time.Duration) int {
		return cmp.Compare(other.due, due)
	})
	c.waiting = slices.Insert(c.waiting, at, k)
}

// The caller must hold c.mu.
func (c *Checker) dequeue(k *Check) bool {
	at := slices.Index(c.waiting, k)
	if at < 0 {
		return false
	}
	c.waiting = slices.Delete(c.waiting, at, at+1)
	return true
}

func (k *Check) tell(v Verdict) {
	k.checker.mu.Lock()
	cancelled := k.cancelled
	k.checker.mu.Unlock()
	if !cancelled {
		k.done(v)
	}
}

func (c *Checker) work() {
	for k := c.next(); k != nil; k = c.next() {
		v, delay := k.users.verify(k)
		k.judged(v, delay)
		if delay == 0 {
			k.tell(v)
		}
	}
}

// next returns the check that has waited longest. If no check waits, next returns nil, and the goroutine must end.
func (c *Checker) next() *Check {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.running--
		return nil
	}
	k := c.waiting[0]
	c.dequeue(k)
	return k
}

// judged records the verdict v. If delay is not 0, k.done is called after this time.
func (k *Check) judged(v Verdict, delay time.Duration) {
	c := k.checker
	c.mu.Lock()
	defer c.mu.Unlock()
	if v == Right {
		c.friends.add(friend{k.account(), k.client}, true)
	}
	if delay > 0 && !k.cancelled {
		k.answer = time.AfterFunc(delay, func() { k.tell(v) })
	}
}

// failed returns how long the verdict on a wrong password is delayed. If counts is true, the password adds to the wrong
// passwords of the client and of the account.
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

// The caller must hold c.mu.
func (c *Checker) ofClient(k *Check) time.Duration { return c.addresses.penalty(k.client, c.now()) }

func (c *Checker) ofAccount(k *Check) time.Duration { return c.accounts.penalty(k.account(), c.now()) }

// ofQueue returns how much other waiting checks from the same network and connection delay k.
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
	eachWaits   = 60 * time.Millisecond
	eachFollows = time.Second
	maxFollows  = time.Minute
)

func (k *Check) account() account { return account{k.users, k.user[:min(len(k.user), maxUser)]} }

// failures counts wrong passwords for each client or account; the counts halve every minute, so that no client is
// penalized for long.
type failures[K comparable] struct{ recent[K, tally] }

type tally struct {
	n  float64
	at time.Duration
}

const (
	halfLife   = time.Minute
	freeOfCost = 5                      // number of wrong passwords without a penalty
	eachCosts  = 250 * time.Millisecond // penalty for each wrong password beyond freeOfCost
	maxPenalty = 10 * time.Second
	// maximum number of clients or accounts in each map of the type recent
	maxFailures = 2048
)

func (t tally) now(now time.Duration) float64 {
	return t.n * math.Exp2(-float64(now-t.at)/float64(halfLife))
}

func (f *failures[K]) count(key K, now time.Duration) {
	t, _ := f.get(key)
	f.add(key, tally{t.now(now) + 1, now})
}

func (f *failures[K]) penalty(key K, now time.Duration) time.Duration {
	t, _ := f.get(key)
	over := t.now(now) - freeOfCost
	return time.Duration(min(max(over, 0)*float64(eachCosts), float64(maxPenalty)))
}

type friend struct {
	account account
	network string
}

const maxFriends = 1024
