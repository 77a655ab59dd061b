package eventloop

import (
	"encoding/binary"
	goruntime "runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

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
