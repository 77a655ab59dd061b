package auth

import (
	"math"
	"net/netip"
	"time"
)

// failures counts wrong passwords by client or account. Each counts half after a minute, so nothing counts against a
// client for long.
type failures[K comparable] struct{ by map[K]tally }

type tally struct {
	n  float64
	at time.Duration // when n was right
}

const (
	halfLife    = time.Minute
	freeOfCost  = 5                      // wrong passwords without a penalty
	eachCosts   = 250 * time.Millisecond // of the others
	maxPenalty  = 10 * time.Second
	maxFailures = 4096 // clients or accounts that are remembered
)

func (t tally) now(now time.Duration) float64 {
	return t.n * math.Exp2(-float64(now-t.at)/float64(halfLife))
}

func (f *failures[K]) add(key K, now time.Duration) {
	if f.by == nil {
		f.by = map[K]tally{}
	}
	if t, ok := f.by[key]; !ok && len(f.by) >= maxFailures {
		f.forget(now)
	} else if ok {
		f.by[key] = tally{t.now(now) + 1, now}
		return
	}
	f.by[key] = tally{1, now}
}

// forget makes room: for what counts for nothing any more, or else for any.
func (f *failures[K]) forget(now time.Duration) {
	for key, t := range f.by {
		if t.now(now) < 0.5 {
			delete(f.by, key)
		}
	}
	for key := range f.by {
		if len(f.by) < maxFailures {
			return
		}
		delete(f.by, key)
	}
}

// penalty returns how long a wrong password waits for its answer.
func (f *failures[K]) penalty(key K, now time.Duration) time.Duration {
	t, ok := f.by[key]
	if !ok {
		return 0
	}
	over := t.now(now) - freeOfCost
	return time.Duration(min(max(over, 0)*float64(eachCosts), float64(maxPenalty)))
}

// friend is a network from which a user has logged in.
type friend struct {
	account account
	network string
}

// familiar are at least the last maxFriends friends.
type familiar struct{ newer, older map[friend]bool }

const maxFriends = 1024

func (f *familiar) has(one friend) bool {
	if !f.newer[one] && f.older[one] {
		f.add(one)
	}
	return f.newer[one]
}

func (f *familiar) add(one friend) {
	if f.newer == nil || len(f.newer) >= maxFriends {
		f.older, f.newer = f.newer, map[friend]bool{}
	}
	f.newer[one] = true
}

// Network returns the name by which a client is counted: its address, or for IPv6 the /64 network, which usually
// belongs to one user. It is safe for concurrent use.
func Network(client string) string {
	a, err := netip.ParseAddr(client)
	if a = a.Unmap().WithZone(""); err != nil || a.Is4() {
		return client
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}
