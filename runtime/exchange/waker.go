package exchange

import (
	goruntime "runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Waker is how a handler, on any thread, gets the loop out of its sleep.
//
// A byte in Socket always does. Most of the time the loop sleeps where an
// eventfd does too, for less: *Napping is 1 then, and who changes it to 0 has to
// write to Event, once.
type Waker struct {
	Socket  int    // stream socket, non-blocking; a byte other than zero is Handler.Signalled
	Event   int    // eventfd, non-blocking
	Napping *int32 // outside of Go's heap, so that C may keep it
}

// Duplicate returns a Waker of the same loop with descriptors of its own, which
// are closed when nobody has it any more.
func (w *Waker) Duplicate() (*Waker, error) {
	own := &Waker{Napping: w.Napping}
	for i, fd := range [...]int{w.Socket, w.Event} {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, err // the collector closes what there is
		}
		// Not by an os.File: that is in Go's poller, which each wake-up of the loop
		// would wake as well.
		goruntime.AddCleanup(own, func(fd int) { unix.Close(fd) }, copied)
		*[...]*int{&own.Socket, &own.Event}[i] = copied
	}
	return own, nil
}

// Wake wakes the loop. Any goroutine.
func (w *Waker) Wake() {
	fd, token := w.Socket, []byte{0}
	if atomic.CompareAndSwapInt32(w.Napping, 1, 0) {
		fd, token = w.Event, one[:]
	}
	for {
		// When it cannot be written it is full, and the loop awake.
		if _, err := unix.Write(fd, token); err != unix.EINTR {
			goruntime.KeepAlive(w)
			return
		}
	}
}

// one is what is written to an eventfd; any number but 0 and 2^64-1 does, in
// either order of bytes.
var one = [8]byte{1, 0, 0, 0, 0, 0, 0, 1}
