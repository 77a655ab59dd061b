package conn

import (
	"cmp"
	"slices"
	"time"
	"unsafe"
)

// Ledger has the responses that wait in memory for their clients, and bounds that memory. Memory that several responses share
// counts once. Its methods must be called on the loop.
//
// The bound holds for all responses but the largest, so that neither the only one nor a large download that others hardly
// compare to is ended. The first response to end is the one that would wait longest: its unsent bytes divided by the pace of
// its client. So if others hold more than a response and read less, one of them ends before it.
// Of those whose clients have not read, the oldest ends first.
type Ledger struct {
	Max      int64  // bytes
	Exceeded func() // is called when more waits: then Bound may have something to do

	total   int64
	ended   int64
	memory  map[*byte]*memory
	waiting []*Unsent
	grown   bool // Exceeded was called since Bound
}

// memory is a body that waits in one or several responses.
type memory struct {
	size int64
	uses int64
}

// Response is a response that can be ended before its client has read it.
type Response interface {
	// Cut ends the response, unless it ends already, and returns the name of its client for the log.
	Cut() (client string)
}

// Unsent is the part of a response that waits in memory. The zero value is empty.
type Unsent struct {
	of    Response
	place int // in Ledger.waiting
	parts []*memory
	small int64 // bytes of small parts
	left  int64 // bytes of all of them that were not written

	// How fast its client reads: bytes that it has read since then, without those before, which fill the buffers of the kernel.
	began, since, last int64 // last: when it has read, or the response has begun to wait
	read               float64
}

// CountedPart is the minimum size of a part that counts while it is written, in bytes. Smaller parts count only while they wait
// for others: see AddSmall.
const CountedPart = 4 << 10

// smallCost is what a small part counts in addition to its bytes: its memory here and in the handler.
const smallCost = 512

// Add records that left bytes of body wait in u for the client of r.
func (l *Ledger) Add(u *Unsent, r Response, body []byte, left int, now int64) {
	if len(body) < CountedPart {
		return
	}
	key := unsafe.SliceData(body)
	m := l.memory[key]
	if m == nil {
		if l.memory == nil {
			l.memory = make(map[*byte]*memory)
		}
		m = new(memory)
		l.memory[key] = m
	}
	if more := int64(len(body)) - m.size; more > 0 {
		m.size += more
		l.grow(more)
	}
	m.uses++
	l.enter(u, r, now)
	u.parts = append(u.parts, m)
	u.left += int64(left)
}

// AddSmall records that a part of n bytes, fewer than CountedPart, waits in u for the client of r, behind others. DropSmall has to follow.
func (l *Ledger) AddSmall(u *Unsent, r Response, n int, now int64) {
	l.enter(u, r, now)
	u.small += int64(n) + smallCost
	u.left += int64(n)
	l.grow(int64(n) + smallCost)
}

// grow counts n more bytes.
func (l *Ledger) grow(n int64) {
	l.total += n
	if l.total > l.Max && !l.grown {
		l.grown = true
		l.Exceeded()
	}
}

// enter puts u, to which a part is added, among those that wait.
func (l *Ledger) enter(u *Unsent, r Response, now int64) {
	if u.Waits() {
		return
	}
	u.of, u.place, u.left = r, len(l.waiting), 0
	l.waiting = append(l.waiting, u)
	if u.began == 0 {
		u.began, u.since, u.last = now, now, now
	}
	u.since += now - u.last // the client has not kept it waiting
	u.last = now
}

// Drop records that body, of which left bytes were not written, no longer waits in u. It does nothing if body did not wait.
func (l *Ledger) Drop(u *Unsent, body []byte, left int) {
	key := unsafe.SliceData(body)
	m := l.memory[key]
	at := slices.Index(u.parts, m)
	if at < 0 {
		return
	}
	u.parts = slices.Delete(u.parts, at, at+1)
	u.left = max(u.left-int64(left), 0)
	if m.uses--; m.uses == 0 {
		delete(l.memory, key)
		l.total -= m.size
	}
	l.leave(u)
}

// DropSmall records that a part of AddSmall no longer waits. It is written, or not wanted.
func (l *Ledger) DropSmall(u *Unsent, n int, now int64) {
	u.small -= int64(n) + smallCost
	l.total -= int64(n) + smallCost
	u.Took(n, now)
	l.leave(u)
}

// leave takes u, of which a part was dropped, out of those that wait if it was the last one.
func (l *Ledger) leave(u *Unsent) {
	if u.Waits() {
		return
	}
	last := l.waiting[len(l.waiting)-1]
	l.waiting[u.place], last.place = last, u.place
	l.waiting[len(l.waiting)-1] = nil
	l.waiting = l.waiting[:len(l.waiting)-1]
}

// Total returns how many bytes wait.
func (l *Ledger) Total() int64 { return l.total }

// Ended returns how many responses Bound has ended.
func (l *Ledger) Ended() int64 { return l.ended }

// Bound ends responses until a sixteenth of Max is free, if more than Max bytes wait. It returns the client and the unsent bytes
// of the first response that it ended, and the number of ended responses.
func (l *Ledger) Bound(now int64) (client string, unsent int64, ended int) {
	l.grown = false
	spared := l.largest()
	if l.total-spared.Size() <= l.Max {
		return "", 0, 0
	}
	all := slices.Clone(l.waiting)
	slices.SortFunc(all, func(a, b *Unsent) int { return cmp.Compare(b.wait(now), a.wait(now)) })
	for _, u := range all {
		if !spared.Waits() {
			spared = l.largest()
		}
		if l.total-spared.Size() <= l.Max-l.Max/16 {
			break
		}
		if !u.Waits() { // it has ended with another one of its connection
			continue
		}
		left := u.left
		name := u.of.Cut()
		if ended++; ended == 1 {
			client, unsent = name, left
		}
	}
	l.ended += int64(ended)
	return client, unsent, ended
}

// largest returns the response with the most waiting bytes, or nil.
func (l *Ledger) largest() *Unsent {
	var most *Unsent
	size := int64(-1)
	for _, u := range l.waiting {
		if n := u.Size(); n > size {
			most, size = u, n
		}
	}
	return most
}

// Waits reports whether bytes of u wait. Those of nil do not.
func (u *Unsent) Waits() bool { return u != nil && len(u.parts)+int(u.small) > 0 }

// Size returns how many bytes of u wait in memory, 0 for nil.
func (u *Unsent) Size() (n int64) {
	if u != nil {
		n = u.small
		for _, m := range u.parts {
			n += m.size
		}
	}
	return n
}

const (
	// paceMemory is the time after which half of the bytes read are forgotten.
	paceMemory = int64(16 * time.Second)

	// firstWait is the expected wait of a response that was not read, in seconds: longer than that of a client that reads, and shorter than
	// that of a client that has stopped reading.
	firstWait = 3600

	// kernelFills is the time in which bytes do not count: they fill the buffers of the kernel.
	kernelFills = int64(time.Second)
)

// Took records that n bytes of u were written.
func (u *Unsent) Took(n int, now int64) {
	u.left = max(u.left-int64(n), 0)
	if now-u.began < kernelFills {
		return
	}
	if age := now - u.since; age > paceMemory {
		u.read /= 2
		u.since += age / 2
	}
	u.read += float64(n)
	u.last = now
}

// wait estimates for how many seconds u will wait: at the pace of its client, and the longer the longer that has not read. Memory that several
// responses send is divided among them.
func (u *Unsent) wait(now int64) float64 {
	size, share := float64(u.small), float64(u.small)
	for _, m := range u.parts {
		size += float64(m.size)
		share += float64(m.size) / float64(m.uses)
	}
	seconds, silent := float64(firstWait), 60*float64(now-u.last)/1e9
	if u.read > 0 {
		seconds = float64(u.left) * float64(now-u.since) / 1e9 / u.read
	}
	return (seconds + silent) * share / size
}
