package memory

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

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
