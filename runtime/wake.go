package runtime

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"unsafe"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// wake is a socketpair by which a handler, from any thread, gets the loop out
// of its sleep: one end is a connection of the loop, the handler writes to the
// other.
type wake struct {
	conn   gnet.Conn // our end
	theirs int

	scratch [64]byte
}

func (w *wake) open(client *gnet.Client) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	w.theirs = fds[1]
	f := os.NewFile(uintptr(fds[0]), "wake")
	nc, err := net.FileConn(f)
	f.Close()
	if err == nil {
		w.conn, err = client.EnrollContext(nc, w)
	}
	if err != nil {
		unix.Close(w.theirs)
	}
	return err
}

// read takes what the handler has written, at most as much as a wake-up or two.
func (w *wake) read() []byte {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(w.conn.Fd()), uintptr(unsafe.Pointer(&w.scratch[0])),
		uintptr(len(w.scratch)), unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return nil
	}
	return w.scratch[:n]
}

func (w *wake) close() { unix.Close(w.theirs) }

// called says whether bytes that arrived tell of a signal too.
func called(data []byte) (signalled bool) {
	for _, b := range data {
		if b != 0 {
			return true
		}
	}
	return false
}
