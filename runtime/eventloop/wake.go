package eventloop

import (
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wake contains the eventfd that wakes the loop, and the integer (Waker.State) that tells threads whether they must
// write to the eventfd.
type wake struct {
	waker Waker
}

func (w *wake) open(p *poller) (err error) {
	if w.waker.Event, err = openEvent(); err != nil {
		return err
	}
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		unix.Close(w.waker.Event)
		return os.NewSyscallError("mmap", err)
	}
	w.waker.State = (*int32)(unsafe.Pointer(unsafe.SliceData(page)))
	*w.waker.State = Asleep
	if err = p.add(w.waker.Event); err != nil {
		unix.Close(w.waker.Event)
		return err
	}
	return nil
}

// close closes the eventfd. The word remains valid, because threads that end later may still set it.
func (w *wake) close() { unix.Close(w.waker.Event) }

func (w *wake) isCalled() bool { return atomic.LoadInt32(w.waker.State) == Called }

type posts struct {
	waits  atomic.Bool
	mu     sync.Mutex
	list   []func()
	spare  []func()
	closed bool
}

// add appends f to the posted functions, or returns false if the loop has ended. add holds the mutex until it has woken
// the loop, because the loop may close the eventfd as soon as the mutex is free.
func (q *posts) add(f func(), w *Waker) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.list = append(q.list, f)
	q.waits.Store(true)
	w.Wake()
	return true
}

// take removes and returns the posted functions. The result is valid until the next call of take.
func (q *posts) take() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waits.Store(false)
	clear(q.spare)
	q.list, q.spare = q.spare[:0], q.list
	return q.spare
}

func (q *posts) close() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return q.list
}

// Waker wakes the loop from any thread.
//
// A thread sets *State to Called and, if the old value was Asleep, also writes to Event. A loop that is awake checks
// *State before it sleeps.
type Waker struct {
	Event int // eventfd, non-blocking
	// memory outside of Go's heap, so that C code can keep the pointer
	State *int32
	// non-blocking stream socket; for each received byte other than zero, the loop calls Interpreter.Signalled of
	// package source/app
	Signals int

	// SendNow sends finished parts of responses. SendNow may be nil. A handler that runs on the loop calls SendNow if a
	// part must be sent before the handler ends.
	SendNow func()

	// AskForSender makes a second goroutine send finished parts while handlers run on the loop. AskForSender may be
	// nil. It is called after a handler on the loop has ended, if its first parts could have been sent earlier.
	AskForSender func()
}

// The values of *Waker.State, which are the same as CORE_LOOP_... in pybridge/core_pool.h.
const (
	Awake  = 0
	Asleep = 1
	Called = 2 // the loop must check for work before it sleeps
)

// Wake makes the loop call the function of OnWake, and is safe for concurrent use.
func (w *Waker) Wake() {
	if atomic.SwapInt32(w.State, Called) != Asleep {
		return
	}
	writeEvent(w.Event)
}

// openEvent returns an eventfd. The loop need not read from it, because the registration is edge-triggered, so that
// each write causes an event.
func openEvent() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return fd, os.NewSyscallError("eventfd", err)
}

var one = binary.NativeEndian.AppendUint64(nil, 1)

// writeEvent ignores the error: a non-blocking write fails only if the eventfd already has its largest value, or if the
// application has closed it (see Loop.Intact).
func writeEvent(fd int) { _, _ = unix.Write(fd, one) }
