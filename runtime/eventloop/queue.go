package eventloop

import (
	"sync"
	"time"
)

// Queue calls the function carry with all waiting items, in order, on a goroutine that exists only while there are
// items. Queue is safe for concurrent use. The number of items is not limited.
type Queue[T any] struct {
	carry func([]T)

	mu      sync.Mutex
	waiting []T
	held    bool
	closed  bool
	idle    chan struct{} // closed when the goroutine ends; nil if it does not run
}

func NewQueue[T any](carry func([]T)) *Queue[T] { return &Queue[T]{carry: carry} }

// Add adds items to the queue and does not block. After Close, Add drops the items and returns false.
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

// start starts the goroutine if necessary; the caller must hold q.mu.
func (q *Queue[T]) start() {
	if q.idle == nil && !q.held && len(q.waiting) > 0 {
		q.idle = make(chan struct{})
		go q.run()
	}
}

func (q *Queue[T]) run() {
	for items := q.take(); items != nil; items = q.take() {
		q.carry(items)
	}
}

// take returns the waiting items. If no item waits, take returns nil, and the goroutine must end.
func (q *Queue[T]) take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.waiting
	if q.waiting = nil; len(items) == 0 {
		close(q.idle)
		q.idle = nil
		return nil
	}
	return items
}

// Hold(true) suspends calls of the function carry, but does not interrupt a call that is running. Hold(false) resumes
// the calls.
func (q *Queue[T]) Hold(enabled bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = enabled
	q.start()
}

// Close drops the waiting items, and waits until the function carry has returned.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.closed, q.waiting = true, nil
	idle := q.idle
	q.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// Wait returns when no item waits and the function carry does not run, or after the duration limit.
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
