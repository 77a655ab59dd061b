package memory

import (
	"os"
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
	if rest := time.Until(t.next); rest > wait && Resident(os.Getpid()) < t.left+memoryGrowth {
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
	UseLittle()
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
	t.next, t.left = time.Now().Add(memoryEvery), Resident(os.Getpid())
}
