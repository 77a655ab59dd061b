package eventloop

import (
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/panjf2000/gnet/v2/pkg/logging"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
)

// wake is what gets the loop out of its sleep: a descriptor, and the word that says whether it has to be
// written to.
type wake struct {
	fd    int // the end that the poller watches
	waker exchange.Waker
	page  []byte // with waker.State
	own   descriptors
}

// open makes a wake-up descriptor that p watches.
func (w *wake) open(p *netpoll.Poller) (err error) {
	if w.fd, w.waker.Event, err = openEvent(); err != nil {
		return err
	}
	w.page, err = unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		closeEvent(w.fd, w.waker.Event)
		return os.NewSyscallError("mmap", err)
	}
	w.waker.State = (*int32)(unsafe.Pointer(unsafe.SliceData(w.page)))
	*w.waker.State = exchange.Asleep
	if err = p.AddRead(&netpoll.PollAttachment{FD: w.fd}, true); err != nil {
		closeEvent(w.fd, w.waker.Event)
		return err
	}
	w.own = findDescriptors(w.fd)
	return nil
}

// The word stays mapped: threads that end late may still set it.
func (w *wake) close() { closeEvent(w.fd, w.waker.Event) }

// ring makes the descriptor an event.
func (w *wake) ring() { writeEvent(w.waker.Event) }

// rise says that the loop need not be woken, unless somebody has called already.
func (w *wake) rise() { atomic.CompareAndSwapInt32(w.waker.State, exchange.Asleep, exchange.Awake) }

// sleep says that the loop has to be woken from now on, or returns false if somebody has called.
func (w *wake) sleep() bool {
	return atomic.CompareAndSwapInt32(w.waker.State, exchange.Awake, exchange.Asleep)
}

// called says that the loop need not be woken, and reports whether somebody has called.
func (w *wake) called() bool {
	return atomic.SwapInt32(w.waker.State, exchange.Awake) == exchange.Called
}

func (w *wake) isCalled() bool { return atomic.LoadInt32(w.waker.State) == exchange.Called }

// quiet is gnet's log: Run returns what is wrong, and gnet's own would write to standard output.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func init() { logging.SetDefaultLoggerAndFlusher(quiet{}, nil) }
