package runtime

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Intact returns an error, of one line, if the server can answer no more requests because a descriptor
// that it needs was closed, or is another file now: applications close what is not their own
// (os.closerange). A loop that is only busy is intact. It is safe for concurrent use, between Serve and Close.
func (s *Server) Intact() error {
	p := &s.loop.poller
	for _, fd := range [...]int{p.epoll, p.event, s.loop.wake.theirs.Event} {
		if inodeOf(fd) != s.loop.wake.inode || fd != p.epoll && !p.watches(fd) {
			return fmt.Errorf("the application has closed descriptor %d, which belongs to the event loop", fd)
		}
	}
	a := &s.acceptors
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return nil
	}
	if a.failed != nil {
		return fmt.Errorf("the application has closed what accepting connections needs: %w", a.failed)
	}
	for _, l := range a.listeners {
		if fd, inode := listenerFile(l.Listener); inode != l.inode {
			return fmt.Errorf("the application has closed descriptor %d, which listened on %s", fd, l.Addr())
		}
	}
	return nil
}

// watches reports whether p still watches a descriptor, and both are the files that they were: epoll refuses
// to take the same file under the same number once more.
func (p *poller) watches(fd int) bool {
	err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Fd: int32(fd)})
	if err == nil { // what was one of them is not any more
		_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	}
	return err == unix.EEXIST
}

// openListener is a listener with the number that the kernel gave its socket.
type openListener struct {
	net.Listener
	inode uint64
}

// listenerFile returns the descriptor of a listener, and the number of the file that it is now, 0 for none.
func listenerFile(ln net.Listener) (fd int, inode uint64) {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return -1, 0
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return -1, 0
	}
	if err := rc.Control(func(n uintptr) { fd, inode = int(n), inodeOf(int(n)) }); err != nil {
		return -1, 0
	}
	return fd, inode
}

// inodeOf returns the number of an open file, 0 for none. All of epoll and eventfd have the same one.
func inodeOf(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}
