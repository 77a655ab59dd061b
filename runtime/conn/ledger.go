package conn

import (
	"cmp"
	"slices"
	"time"
	"unsafe"
)

// Ledger tracks the responses that wait in memory for their clients, and limits the memory of these responses. The
// methods of Ledger must be called on the loop.
//
// The limit ignores the largest response, so a single response or a large download always continues. Above the limit,
// the responses with the longest expected wait are aborted first. The expected wait is the number of unsent bytes
// divided by the pace of the client. Among the responses whose clients have read nothing, the oldest is aborted first.
type Ledger struct {
	Max int64
	// Exceeded is called when more than Max bytes wait. The server should then call Bound.
	Exceeded func()

	total   int64
	ended   int64
	memory  map[*byte]*memory
	waiting []*Unsent
	grown   bool // Exceeded was called since the last Bound
}

type memory struct {
	size int64
	uses int64
}

// A Cutter is a response that the Ledger can end.
type Cutter interface {
	// Cut ends the response, unless it is already ending, and returns the client's address for the log.
	Cut() (client string)
}

type Unsent struct {
	of    Cutter
	place int
	parts []*memory
	small int64
	left  int64 // unsent bytes of all parts

	// These fields measure the pace of the client. read counts the bytes that the client has read after the time since,
	// without the bytes of the first second (kernelFills). last is the time when the client last read, or when the
	// response began to wait.
	began, since, last int64
	read               float64
}

// CountedPart is the minimum size, in bytes, of a part that the ledger counts as soon as its writing begins (Add). The
// ledger counts smaller parts only while they wait for earlier parts (AddSmall).
const CountedPart = 4 << 10

// smallCost is the memory, in bytes, that the server and the handler need for a small part in addition to its data.
const smallCost = 512

// Add counts body, a part of the response r, in the record u of r. unsent is the number of unwritten bytes of body.
func (l *Ledger) Add(u *Unsent, r Cutter, body []byte, unsent int, now int64) {
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
	u.left += int64(unsent)
}

// AddSmall counts a small part of the response r in the record u of this response. The part has n bytes, fewer than
// CountedPart, and waits for earlier parts. The caller must call DropSmall when the part no longer waits.
func (l *Ledger) AddSmall(u *Unsent, r Cutter, n int, now int64) {
	l.enter(u, r, now)
	u.small += int64(n) + smallCost
	u.left += int64(n)
	l.grow(int64(n) + smallCost)
}

func (l *Ledger) grow(n int64) {
	l.total += n
	if l.total > l.Max && !l.grown {
		l.grown = true
		l.Exceeded()
	}
}

func (l *Ledger) enter(u *Unsent, r Cutter, now int64) {
	if u.Waits() {
		return
	}
	u.of, u.place, u.left = r, len(l.waiting), 0
	l.waiting = append(l.waiting, u)
	if u.began == 0 {
		u.began, u.since, u.last = now, now, now
	}
	u.since += now - u.last // exclude the time in which u had nothing to send
	u.last = now
}

// Drop removes body from u, if u contains it. unsent is the number of unwritten bytes of body.
func (l *Ledger) Drop(u *Unsent, body []byte, unsent int) {
	key := unsafe.SliceData(body)
	m := l.memory[key]
	at := slices.Index(u.parts, m)
	if at < 0 {
		return
	}
	u.parts = slices.Delete(u.parts, at, at+1)
	u.left = max(u.left-int64(unsent), 0)
	if m.uses--; m.uses == 0 {
		delete(l.memory, key)
		l.total -= m.size
	}
	l.leave(u)
}

func (l *Ledger) DropSmall(u *Unsent, n int, now int64) {
	u.small -= int64(n) + smallCost
	l.total -= int64(n) + smallCost
	u.Took(n, now)
	l.leave(u)
}

func (l *Ledger) leave(u *Unsent) {
	if u.Waits() {
		return
	}
	last := l.waiting[len(l.waiting)-1]
	l.waiting[u.place], last.place = last, u.place
	l.waiting[len(l.waiting)-1] = nil
	l.waiting = l.waiting[:len(l.waiting)-1]
}

func (l *Ledger) Total() int64 { return l.total }

func (l *Ledger) Ended() int64 { return l.ended }

// If more than Max bytes wait, Bound ends responses until a sixteenth of Max is free. ended is the number of ended
// responses; client and unsent describe the first.
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
		// The end of an earlier response may have closed a connection that this response shared. This response then no
		// longer waits.
		if !u.Waits() {
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

func (u *Unsent) Waits() bool { return u != nil && len(u.parts)+int(u.small) > 0 }

// Size returns the bytes of u that wait in memory. u may be nil.
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
	// paceMemory is the half-life of the bytes in Unsent.read, so that recent reads affect a client's pace most.
	paceMemory = int64(16 * time.Second)

	// firstWait is the expected wait of a response whose client has read nothing yet, in seconds. A client that reads
	// has a shorter expected wait, and a client that has stopped reading has a longer one.
	firstWait = 3600

	// kernelFills is the interval at the start of a response in which the pace is not measured, because the bytes only
	// fill the buffers of the kernel.
	kernelFills = int64(time.Second)
)

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

// wait estimates how many more seconds u will wait. The estimate uses the pace of the client and the time since the
// client last read. Memory that several responses share is divided among these responses.
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
