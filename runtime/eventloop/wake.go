package eventloop

import (
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wake is what gets the loop out of its sleep: a descriptor, and the word that says whether it has to be
// written to.
type wake struct {
	fd    int // the end that the poller watches
	waker Waker
	page  []byte // with waker.State
}

// open makes a wake-up descriptor that p watches.
func (w *wake) open(p *poller) (err error) {
	if w.fd, w.waker.Event, err = openEvent(); err != nil {
		return err
	}
	w.page, err = unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		closeEvent(w.fd, w.waker.Event)
		return os.NewSyscallError("mmap", err)
	}
	w.waker.State = (*int32)(unsafe.Pointer(unsafe.SliceData(w.page)))
	*w.waker.State = Asleep
	if err = p.add(w.fd); err != nil {
		closeEvent(w.fd, w.waker.Event)
		return err
	}
	return nil
}

// The word stays mapped: threads that end late may still set it.
func (w *wake) close() { closeEvent(w.fd, w.waker.Event) }

// ring makes the descriptor an event.
func (w *wake) ring() { writeEvent(w.waker.Event) }

// sleep says that threads have to wake the loop from now on, or returns false if one has called.
func (w *wake) sleep() bool {
	return atomic.CompareAndSwapInt32(w.waker.State, Awake, Asleep)
}

// called says that threads need not wake the loop, and reports whether one has called.
func (w *wake) called() bool {
	return atomic.SwapInt32(w.waker.State, Awake) == Called
}

func (w *wake) isCalled() bool { return atomic.LoadInt32(w.waker.State) == Called }

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
