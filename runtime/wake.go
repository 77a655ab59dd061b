package runtime

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"fapws/runtime/exchange"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// wake is by what a handler gets the loop out of its sleep: a socketpair, of which
// one end is a connection of the loop, and an eventfd for when the loop naps in
// poll (epoll.go).
type wake struct {
	conn   gnet.Conn // our end
	theirs exchange.Waker
	page   []byte // with theirs.Napping

	scratch [8]byte
}

func (w *wake) open(client *gnet.Client) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	w.theirs.Socket = fds[1]
	if err = w.openEvent(); err != nil {
		return err
	}
	f := os.NewFile(uintptr(fds[0]), "wake")
	nc, err := net.FileConn(f)
	f.Close()
	if err == nil {
		w.conn, err = client.EnrollContext(nc, w)
	}
	if err != nil {
		w.close()
	}
	return err
}

func (w *wake) openEvent() (err error) {
	if w.theirs.Event, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	w.page, err = unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	w.theirs.Napping = (*int32)(unsafe.Pointer(unsafe.SliceData(w.page)))
	return nil
}

// nap says that an eventfd wakes the loop from now on.
func (w *wake) nap() { atomic.StoreInt32(w.theirs.Napping, 1) }

// risen ends nap, and tells whether somebody has woken the loop by then. Its
// token may come later, and then ends another nap early.
func (w *wake) risen() bool { return atomic.SwapInt32(w.theirs.Napping, 0) == 0 }

// takeToken empties the eventfd.
func (w *wake) takeToken() {
	syscall.RawSyscall(unix.SYS_READ, uintptr(w.theirs.Event), uintptr(unsafe.Pointer(&w.scratch[0])), 8)
}

func (w *wake) close() {
	unix.Close(w.theirs.Socket)
	unix.Close(w.theirs.Event)
}

// called says whether bytes that arrived tell of a signal too.
func called(data []byte) (signalled bool) {
	for _, b := range data {
		if b != 0 {
			return true
		}
	}
	return false
}
