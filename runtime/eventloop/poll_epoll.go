//go:build linux && !gnet

package eventloop

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// poller waits with epoll by itself: ARCHITECTURE.md, section 10, says why.
type poller struct {
	fd     int
	inode  uint64 // of fd and of eventfds: anonymous files have the same one
	events [lookEvery]unix.EpollEvent
}

// lookEvery is how many events a batch has at most: what threads have finished does not wait for ten thousand
// connections.
const lookEvery = 256

func (p *poller) open() (err error) {
	p.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	p.inode = inodeOf(p.fd)
	return os.NewSyscallError("epoll_create1", err)
}

func (p *poller) close() error { return os.NewSyscallError("close", unix.Close(p.fd)) }

const (
	reading = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1)
	writing = unix.EPOLLOUT
)

func (p *poller) add(fd int) error { return p.control(unix.EPOLL_CTL_ADD, fd, reading) }

func (p *poller) wantRoom(fd int, want bool) error {
	if want {
		return p.control(unix.EPOLL_CTL_MOD, fd, reading|writing)
	}
	return p.control(unix.EPOLL_CTL_MOD, fd, reading)
}

// Failing, it is not watched.
func (p *poller) remove(fd int) { _ = p.control(unix.EPOLL_CTL_DEL, fd, 0) }

func (p *poller) control(op, fd int, events uint32) error {
	e := unix.EpollEvent{Fd: int32(fd), Events: events}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, op, fd, &e))
}

// knowsEvents says that hasEvents knows what it reports.
const knowsEvents = true

// hasEvents reports whether run would not wait now.
func (p *poller) hasEvents() bool {
	fds := [1]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds[:], 0)
	return n > 0
}

func (p *poller) run(l *Loop) error {
	for !l.stopped {
		timeout := -1
		if !l.sleep() {
			timeout = 0
		}
		n, err := unix.EpollWait(p.fd, p.events[:], timeout)
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("epoll_wait", err)
		}
		l.begin()
		for i := range max(n, 0) {
			l.event(int(p.events[i].Fd), readiness(p.events[i].Events, 0))
		}
		l.end()
	}
	return nil
}

// intact returns an error if the poller or the wake-up descriptor was closed, or is another file now.
func (p *poller) intact(event int) error {
	for _, fd := range [...]int{p.fd, event} {
		if inodeOf(fd) != p.inode || fd != p.fd && !p.watches(fd) {
			return fmt.Errorf("the application has closed descriptor %d, which belongs to the event loop", fd)
		}
	}
	return nil
}

// watches reports whether a descriptor is still watched, and both are the files that they were: epoll refuses to
// take the same file under the same number once more.
func (p *poller) watches(fd int) bool {
	err := p.add(fd)
	if err == nil { // one of them is another file now
		p.remove(fd)
	}
	return errors.Is(err, unix.EEXIST)
}

// inodeOf returns the number of an open file, 0 for none.
func inodeOf(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}
