package eventloop

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A loop notices when one of its descriptors was closed, or is another file now.
func TestIntact(t *testing.T) {
	for i := range 3 {
		for _, replaced := range []bool{false, true} {
			l, err := New()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Intact(); err != nil {
				t.Fatal(err)
			}
			all := [...]int{l.poller.own.epoll, l.poller.own.event, l.wake.fd}
			unix.Close(all[i])
			if replaced {
				fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
				if err != nil || fd != all[i] {
					t.Fatal(fd, err)
				}
			}
			if l.Intact() == nil {
				t.Errorf("descriptor %d of %v was closed (replaced %v), and nothing is said", i, all, replaced)
			}
			for k, fd := range all {
				if k != i || replaced {
					unix.Close(fd)
				}
			}
		}
	}
}
