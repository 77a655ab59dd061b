package eventloop

import (
	"encoding/binary"
	"os"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"
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

// Waker wakes the loop, from any thread.
//
// To wake it, a thread sets *State to Called and, if it was Asleep before, writes to Event, once: a loop that is
// awake looks at *State before it sleeps.
type Waker struct {
	Event   int    // eventfd, non-blocking
	State   *int32 // outside of Go's heap, so that C may keep it
	Signals int    // stream socket, non-blocking; a byte other than zero is Handler.Signalled

	// SendNow, if not nil, sends finished parts. An inline handler calls it within Handler.Flush, on the loop, where
	// a part must not wait for the rest of the handler.
	SendNow func()
}

// What *Waker.State says of the loop. pool.h of pybridge has the same.
const (
	Awake  = 0
	Asleep = 1
	Called = 2 // to be woken, or to look before it sleeps
)

// Duplicate returns a Waker of the same loop with duplicated descriptors, which are closed when it is not referenced
// any more.
func (w *Waker) Duplicate() (*Waker, error) {
	own := &Waker{State: w.State}
	for i, fd := range [...]int{w.Event, w.Signals} {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, err // the collector closes the first ones
		}
		// Not by an os.File: that is in Go's poller, which each wake-up of the loop
		// would wake as well.
		goruntime.AddCleanup(own, func(fd int) { unix.Close(fd) }, copied)
		*[...]*int{&own.Event, &own.Signals}[i] = copied
	}
	return own, nil
}

// Wake wakes the loop. Any goroutine.
func (w *Waker) Wake() {
	if atomic.SwapInt32(w.State, Called) != Asleep {
		return
	}
	for {
		if _, err := unix.Write(w.Event, tokenOne); err != unix.EINTR {
			goruntime.KeepAlive(w)
			return
		}
	}
}

// tokenOne is written to an eventfd, which is never read: the loop's epoll has it edge-triggered, and it takes 2^64 of
// them to fill it.
var tokenOne = binary.NativeEndian.AppendUint64(nil, 1)

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
