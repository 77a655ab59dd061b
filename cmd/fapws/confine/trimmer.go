package confine

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// startPagesAfter is how long after the start the pages are given back
	// that only the start needed.
	startPagesAfter = time.Second

	// memoryEvery is how often at most memory is given back, unless it has
	// grown by memoryGrowth bytes: clients that come and go one by one are not a
	// reason to do it each time.
	memoryEvery  = 4 * time.Second
	memoryGrowth = 2 << 20
)

// Trimmer gives memory back to the kernel while no client is connected.
type Trimmer struct {
	// TrimHeap gives the free memory of the C heap back to the kernel; nil: it stays.
	TrimHeap func()

	// Small makes mappings of the program small, for a process that does little: see divide. It is set before Started.
	Small bool

	mu    sync.Mutex
	next  time.Time // not before
	due   time.Time // when it will be; zero: not arranged
	timer *time.Timer
	left  int64 // resident bytes when it was given back last
}

// soon arranges for memory to be given back after wait, or as soon as it may
// be. It is safe for concurrent use.
func (t *Trimmer) soon(wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rest := time.Until(t.next); rest > wait && ResidentMemory(os.Getpid()) < t.left+memoryGrowth {
		wait = rest
	}
	at := time.Now().Add(wait)
	switch {
	case t.timer == nil:
		t.timer = time.AfterFunc(wait, t.give)
	case t.due.IsZero() || at.Before(t.due):
		t.timer.Reset(wait)
	default:
		return
	}
	t.due = at
}

// Started arranges for the pages that only the start needed to be given back.
func (t *Trimmer) Started() {
	UseLittleMemory()
	t.soon(startPagesAfter)
}

// Quiet is runtime.Config.OnIdle.
func (t *Trimmer) Quiet() { t.soon(0) }

func (t *Trimmer) give() {
	t.mu.Lock()
	t.due = time.Time{} // memory used from now on is for the next time
	t.mu.Unlock()
	debug.FreeOSMemory()
	if t.TrimHeap != nil {
		t.TrimHeap()
	}
	// Without smaps the memory stays, and the server runs as well.
	_ = dropProgramPages(t.Small)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next, t.left = time.Now().Add(memoryEvery), ResidentMemory(os.Getpid())
}

const (
	// littlePercent keeps the heap of the Go side, which is below 1 MB and hardly grows per request, from being let to 4 MB before it is
	// collected.
	littlePercent = 25

	// busyPercent lets it, while collections would follow each other too fast: ten TLS handshakes leave 1 MB of garbage, and collecting
	// that took as much time as computing them.
	busyPercent = 100

	// tooFast and slow are the times between two collections below which the heap may be larger, and above which it is little again.
	tooFast = 200 * time.Millisecond
	slow    = 2 * time.Second
)

// pacer chooses between a little heap and few collections.
type pacer struct {
	set func(percent int)

	mu   sync.Mutex
	last time.Duration // when the last collection was, since the start
	busy bool
}

// collected is called behind each collection, at a time since the start. It is safe for concurrent use.
func (p *pacer) collected(at time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := at - p.last
	p.last = at
	switch {
	case !p.busy && since < tooFast:
		p.busy = true
		p.set(busyPercent)
	case p.busy && since > slow:
		p.busy = false
		p.set(littlePercent)
	}
}

// follow has p choose from now on. The heap is little first.
func (p *pacer) follow() {
	p.set(littlePercent)
	begin := time.Now()
	p.last = -slow // the collections of the start are not too fast
	afterCollection(func() { p.collected(time.Since(begin)) })
}

// afterCollection calls f behind each collection, on a goroutine of the runtime.
func afterCollection(f func()) {
	// An object without a pointer would share its memory with others.
	runtime.AddCleanup(new(*int), func(struct{}) {
		afterCollection(f) // first, or the next collection might come before
		f()
	}, struct{}{})
}

// setPercent is debug.SetGCPercent without its result.
func setPercent(percent int) { debug.SetGCPercent(percent) }
