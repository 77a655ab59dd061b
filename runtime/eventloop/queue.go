package eventloop

import (
	"sync"
	"time"
)

// Queue calls carry with all items that wait, in their order, on a goroutine that runs
// while there are any. It is safe for concurrent use. The number of items is not bounded.
type Queue[T any] struct {
	carry func([]T)

	mu      sync.Mutex
	waiting []T
	held    bool          // carry is not called for now
	closed  bool          // carry is not called any more
	idle    chan struct{} // closed when the goroutine ends; nil: it does not run
}

// NewQueue returns an empty queue.
func NewQueue[T any](carry func([]T)) *Queue[T] { return &Queue[T]{carry: carry} }

// Add adds items and reports whether carry will be called with them: not after Close. It
// does not block.
func (q *Queue[T]) Add(items ...T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.waiting = append(q.waiting, items...)
	q.start()
	return true
}

// start starts the goroutine if it is needed. The caller holds the mutex.
func (q *Queue[T]) start() {
	if q.idle == nil && !q.held && len(q.waiting) > 0 {
		q.idle = make(chan struct{})
		go q.run()
	}
}

func (q *Queue[T]) run() {
	q.mu.Lock()
	for len(q.waiting) > 0 {
		some := q.waiting
		q.waiting = nil
		q.mu.Unlock()
		q.carry(some)
		q.mu.Lock()
	}
	close(q.idle)
	q.idle = nil
	q.mu.Unlock()
}

// Hold keeps items in the queue, or lets them go on. Those of a call of carry that is under
// way go on.
func (q *Queue[T]) Hold(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = on
	q.start()
}

// Close drops the items that wait, and returns when carry has returned.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.closed, q.waiting = true, nil
	idle := q.idle
	q.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// Wait returns when carry is not running and nothing waits for it, or after limit.
func (q *Queue[T]) Wait(limit time.Duration) {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(limit):
	}
}
