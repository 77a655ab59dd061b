//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package eventloop

import (
	"fmt"
	"os"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
	"golang.org/x/sys/unix"
)

// pollersOwn is a descriptor whose events the poller keeps for itself: gnet's kqueue takes the event of
// descriptor 0 for its own wake-up.
const pollersOwn = 0

// readiness translates what kqueue reports, which is not whether there is urgent data.
func readiness(e netpoll.IOEvent, flags netpoll.IOFlags) (r Readiness) {
	if netpoll.IsReadEvent(e) {
		r |= Readable | Urgent
	}
	if netpoll.IsWriteEvent(e) {
		r |= Writable
	}
	if flags&unix.EV_EOF != 0 {
		r |= MaybeGone
	}
	return r
}

// descriptors are those of gnet's poller, which does not tell them.
type descriptors struct{}

func find(*netpoll.Poller) (descriptors, error) { return descriptors{}, nil }

// hasEvents does not know whether run would wait.
func (p *poller) hasEvents() bool { return false }

// intact returns an error if the poller's descriptor was closed: a kqueue takes the loop's own descriptor once more.
func (p *poller) intact(event int) error {
	if err := p.add(event); err != nil {
		return fmt.Errorf("the application has closed a descriptor that belongs to the event loop: %w", err)
	}
	return nil
}

// endsByWake reports whether an event of the loop's own descriptor ends a batch. On OpenBSD and NetBSD gnet runs no tasks.
const endsByWake = true

// BatchAllocations is how many objects the poller itself allocates for a batch.
const BatchAllocations = 0

// endBehind has the end of the batch come behind the events that are ready, as one of w.
func (p *poller) endBehind(_ queue.Func, w *wake) { w.ring() }

// wait does nothing: gnet waits.
func (p *poller) wait() {}

// openEvent makes a pipe. A full one need not be written to: it is an event already.
func openEvent() (read, write int, err error) {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		return -1, -1, os.NewSyscallError("pipe", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			closeEvent(fds[0], fds[1])
			return -1, -1, os.NewSyscallError("fcntl", err)
		}
	}
	return fds[0], fds[1], nil
}

func closeEvent(read, write int) {
	unix.Close(read)
	unix.Close(write)
}

var one = []byte{1}

func writeEvent(fd int) {
	for {
		if _, err := unix.Write(fd, one); err != unix.EINTR {
			return
		}
	}
}

func (w *wake) drain() {
	var b [512]byte
	for {
		n, err := unix.Read(w.fd, b[:])
		if n < len(b) && err != unix.EINTR {
			return
		}
	}
}
