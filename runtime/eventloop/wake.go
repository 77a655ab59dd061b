package eventloop

import (
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wake is the eventfd that ends the sleep of the loop, with the word that tells whether it must be written.
type wake struct {
	waker Waker
	page  []byte
}

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

// close leaves the word mapped, because threads that end late may set it.
func (w *wake) close() { unix.Close(w.waker.Event) }

func (w *wake) ring() { writeEvent(w.waker.Event) }

func (w *wake) isCalled() bool { return atomic.LoadInt32(w.waker.State) == Called }

type posts struct {
	waits  atomic.Bool
	mu     sync.Mutex
	list   []func()
	spare  []func()
	closed bool
}

// add returns false if the loop has ended. add holds the mutex until it has woken the loop, because later the eventfd
// may be closed.
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

// take returns functions that are valid until its next call.
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
// A thread sets *State to Called and, if it was Asleep before, writes to Event once. A loop that is awake checks *State
// before it sleeps.
type Waker struct {
	Event int    // eventfd, non-blocking
	State *int32 // outside of Go's heap, so that C may keep the pointer
	// non-blocking stream socket; each received byte other than zero calls Handler.Signalled
	Signals int

	// SendNow, if not nil, sends finished parts. An inline handler calls it on the loop, within Handler.Flush, if a
	// part must not wait for the rest of the handler.
	SendNow func()

	// AskForSender, if not nil, makes another goroutine send finished parts during the next calls of Handler.Flush. An
	// inline handler calls it on the loop after a Flush whose response would have been sent earlier that way.
	AskForSender func()
}

// The values of *Waker.State. CORE_LOOP_ in pybridge/core_pool.h has the same values.
const (
	Awake  = 0
	Asleep = 1
	Called = 2 // the loop must check for work before it sleeps
)

// Wake is safe for concurrent use.
func (w *Waker) Wake() {
	if atomic.SwapInt32(w.State, Called) != Asleep {
		return
	}
	writeEvent(w.Event)
}

// openEvent returns an edge-triggered eventfd that is never read: each write is an event.
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
