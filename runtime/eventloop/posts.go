package eventloop

import "sync"

// posts are functions that other goroutines want to be called on the loop, in order.
type posts struct {
	mu     sync.Mutex
	list   []func()
	spare  []func() // what take returned last
	closed bool
}

// add returns false if the loop has ended.
func (q *posts) add(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.list = append(q.list, f)
	}
	return !q.closed
}

// take returns the waiting functions, which are valid until the next call.
func (q *posts) take() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return nil
	}
	clear(q.spare) // functions hold memory
	q.list, q.spare = q.spare[:0], q.list
	return q.spare
}

// close refuses later functions and returns those that wait.
func (q *posts) close() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return q.list
}
