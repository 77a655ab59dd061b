package auth

import (
	"container/heap"
	"runtime"
	"sync"
	"time"
)

// Checker computes hashes of passwords: a few at a time, in the order of arrival, but for
// those of clients and accounts that many wrong ones were for (penalty). One is enough for a
// process. Its methods are safe for concurrent use.
type Checker struct {
	now func() time.Duration // since some moment

	mu        sync.Mutex
	waiting   checks
	running   int // goroutines that compute
	most      int // of them
	addresses failures[string]
	accounts  failures[account]
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
	return &Checker{now: func() time.Duration { return time.Since(started) }, most: max(1, runtime.GOMAXPROCS(0)/2)}
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
	client         string // as penalties know it
	user, password string
	done           func(Verdict)

	due       time.Duration // waiting checks are sorted by it
	at        int           // its place in Checker.waiting, -1: none
	answer    *time.Timer   // of a wrong one that is held back
	cancelled bool
}

// Check calls done with Right, Wrong or Busy, once and on another goroutine, unless the check is cancelled before.
// client is the IP address of the client, "" without one.
//
// A wrong password is answered later the more of them came from the client's network or for
// the account within the last minutes, so that guessing in many connections at once leaves time for
// others.
func (u *Users) Check(client, user, password string, done func(Verdict)) *Check {
	c := u.checker
	k := &Check{checker: c, users: u, client: Network(client), user: user, password: password, done: done, at: -1}
	c.mu.Lock()
	defer c.mu.Unlock()
	k.due = c.now() + c.ofClient(k) + c.ofAccount(k)
	heap.Push(&c.waiting, k)
	if len(c.waiting) > maxWaiting {
		last := c.waiting.last()
		heap.Remove(&c.waiting, last.at)
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
	if k.at >= 0 {
		heap.Remove(&c.waiting, k.at)
	}
	if k.answer != nil {
		k.answer.Stop()
	}
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

// tellLater is tell after a delay.
func (k *Check) tellLater(v Verdict, delay time.Duration) {
	k.checker.mu.Lock()
	defer k.checker.mu.Unlock()
	if !k.cancelled {
		k.answer = time.AfterFunc(delay, func() { k.tell(v) })
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
		k := heap.Pop(&c.waiting).(*Check)
		c.mu.Unlock()
		v, delay := k.users.verify(k.user, k.password, func(computed bool) time.Duration { return c.failed(k, computed) })
		if delay > 0 {
			k.tellLater(v, delay)
		} else {
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
		c.addresses.add(k.client, now)
		c.accounts.add(account{k.users, clip(k.user)}, now)
	}
	return max(c.ofClient(k), c.ofAccount(k))
}

// ofClient and ofAccount return by how much k is worse off than others. c.mu is held.
func (c *Checker) ofClient(k *Check) time.Duration { return c.addresses.penalty(k.client, c.now()) }

func (c *Checker) ofAccount(k *Check) time.Duration {
	return c.accounts.penalty(account{k.users, clip(k.user)}, c.now())
}

// clip bounds a name that a client has made up, to be remembered.
func clip(name string) string { return name[:min(len(name), 64)] }

// checks is a heap.Interface, the first one due first.
type checks []*Check

func (h checks) Len() int           { return len(h) }
func (h checks) Less(i, j int) bool { return h[i].due < h[j].due }
func (h checks) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }

func (h *checks) Push(x any) {
	k := x.(*Check)
	k.at = len(*h)
	*h = append(*h, k)
}

func (h *checks) Pop() any {
	last := len(*h) - 1
	k := (*h)[last]
	(*h)[last], k.at = nil, -1
	*h = (*h)[:last]
	return k
}

// last returns the one that is due last.
func (h checks) last() *Check {
	last := h[len(h)/2]
	for _, k := range h[len(h)/2:] { // the leaves
		if k.due >= last.due {
			last = k
		}
	}
	return last
}
