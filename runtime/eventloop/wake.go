package eventloop

import (
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wake is what gets the loop out of its sleep: a descriptor, and the word that says whether it has to be
// written to.
type wake struct {
	waker Waker
	page  []byte // with waker.State
}

// open makes a wake-up descriptor that p watches.
func (w *wake) open(p *poller) (err error) {
	if w.waker.Event, err = openEvent(); err != nil {
		return err
	}
	w.page, err = unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		unix.Close(w.waker.Event)
		return os.NewSyscallError("mmap", err)
	}
	w.waker.State = (*int32)(unsafe.Pointer(unsafe.SliceData(w.page)))
	*w.waker.State = Asleep
	if err = p.add(w.waker.Event); err != nil {
		unix.Close(w.waker.Event)
		return err
	}
	return nil
}

// The word stays mapped: threads that end late may still set it.
func (w *wake) close() { unix.Close(w.waker.Event) }

// ring makes the descriptor an event.
func (w *wake) ring() { writeEvent(w.waker.Event) }

func (w *wake) isCalled() bool { return atomic.LoadInt32(w.waker.State) == Called }

// posts are functions that other goroutines want to be called on the loop, in order.
type posts struct {
	waits  atomic.Bool // list has some
	mu     sync.Mutex
	list   []func()
	spare  []func() // what take returned last
	closed bool
}

// add returns false if the loop has ended: its descriptors may be closed then, so the mutex is held until it was woken.
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

// take returns the waiting functions, which are valid until the next call.
func (q *posts) take() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waits.Store(false)
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

	// AskForSender, if not nil, has another goroutine send finished parts during the next calls of Handler.Flush. An inline handler calls it behind
	// one in which a response would have gone on with that. On the loop.
	AskForSender func()
}

// What *Waker.State says of the loop. CORE_LOOP_ in pybridge/core.h has the same values.
const (
	Awake  = 0
	Asleep = 1
	Called = 2 // to be woken, or to look before it sleeps
)

// Wake wakes the loop. Any goroutine.
func (w *Waker) Wake() {
	if atomic.SwapInt32(w.State, Called) != Asleep {
		return
	}
	writeEvent(w.Event)
}

// openEvent makes an eventfd. It is edge-triggered and never read: each write is an event, and it takes
// 2^64 of them to fill it.
func openEvent() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return fd, os.NewSyscallError("eventfd", err)
}

var one = binary.NativeEndian.AppendUint64(nil, 1)

func writeEvent(fd int) {
	for {
		if _, err := unix.Write(fd, one); err != unix.EINTR {
			return
		}
	}
}
