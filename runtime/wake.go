package runtime

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"unsafe"

	"fapws/runtime/exchange"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// wake is by what others get the loop out of its sleep: an eventfd in its epoll,
// and a socketpair for signals, of which one end is a connection of gnet's.
type wake struct {
	conn    gnet.Conn // our end of the socketpair
	signals int       // its descriptor
	theirs  exchange.Waker
	page    []byte // with theirs.State
	inode   uint64 // of theirs.Event, see Intact
}

// open makes it, but for watch, which needs the epoll of conn's loop.
func (w *wake) open(client *gnet.Client) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	w.theirs.Signals = fds[1]
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
		return err
	}
	w.signals = w.conn.Fd()
	return nil
}

func (w *wake) openEvent() (err error) {
	if w.theirs.Event, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	w.inode = inodeOf(w.theirs.Event)
	w.page, err = unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	w.theirs.State = (*int32)(unsafe.Pointer(unsafe.SliceData(w.page)))
	return nil
}

// watch makes the eventfd end a wait of epoll. Edge-triggered, so that nobody has
// to read it: each write is an event.
func (w *wake) watch(epoll int) error {
	e := unix.EpollEvent{Fd: int32(w.theirs.Event), Events: unix.EPOLLIN | unix.EPOLLET&(1<<32-1)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, w.theirs.Event, &e))
}

// sleep says that the loop must be woken from now on, unless it is called already.
func (w *wake) sleep() bool {
	return atomic.CompareAndSwapInt32(w.theirs.State, exchange.Awake, exchange.Asleep)
}

// called ends the sleep, and tells whether somebody wants the loop to look.
func (w *wake) called() bool {
	return atomic.SwapInt32(w.theirs.State, exchange.Awake) == exchange.Called
}

func (w *wake) close() {
	unix.Close(w.theirs.Signals)
	unix.Close(w.theirs.Event)
}

// woken lets what the application has finished go out, and takes what was published,
// before those join who have come later.
func (l *loop) woken() {
	defer l.recovered(nil)
	if l.debug >= 2 {
		l.tracef("woken by the application")
	}
	l.channels.take()
	l.submitted = true
	l.pump()
}

// signalled tells the application of signals that have come.
func (l *loop) signalled() {
	defer l.recovered(nil)
	var b [64]byte
	n, err := receive(l.wake.signals, b[:])
	if n == 0 || err != nil && err != unix.EAGAIN { // the script has closed what is not its own
		unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, l.wake.signals, nil)
		l.s.logf(LevelError, "signal handlers of the application will not run: their socket was closed")
		return
	}
	for _, signal := range b[:max(n, 0)] {
		if signal != 0 && l.handler != nil {
			l.handler.Signalled()
			break
		}
	}
	l.submitted = true
}
