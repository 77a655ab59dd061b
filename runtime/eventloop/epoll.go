package eventloop

import (
	"errors"
	"fmt"
	"slices"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

func readiness(e netpoll.IOEvent) (r Readiness) {
	if e&unix.EPOLLIN != 0 {
		r |= Readable
	}
	if e&unix.EPOLLOUT != 0 {
		r |= Writable
	}
	if e&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		r |= MaybeGone
	}
	if e&unix.EPOLLPRI != 0 {
		r |= Readable | Urgent
	}
	return r
}

// descriptors contains the descriptors of a poller, which gnet does not export.
type descriptors struct {
	epoll int
	event int
	// inode of the two descriptors and of the loop's eventfd, which are anonymous files and therefore have the same
	// inode
	inode uint64
}

// find searches all descriptors of the process for the two descriptors of a poller. gnet's eventfd is the only
// descriptor whose registration the poller can change, and gnet's epoll descriptor is the only one that watches this
// eventfd. The search changes no registration: it sets each registration to its current value.
func find(g *netpoll.Poller) (d descriptors, err error) {
	all := system.Descriptors()
	event := slices.IndexFunc(all, func(fd int) bool { return g.ModRead(&netpoll.PollAttachment{FD: fd}, true) == nil })
	if event < 0 {
		return d, errors.New("gnet's poller watches no descriptor of its own")
	}
	e := unix.EpollEvent{Fd: int32(all[event]), Events: netpoll.ReadEvents | unix.EPOLLET | unix.EPOLLRDHUP}
	epoll := slices.IndexFunc(all, func(fd int) bool {
		return unix.EpollCtl(fd, unix.EPOLL_CTL_MOD, all[event], &e) == nil
	})
	if epoll < 0 {
		return d, errors.New("gnet's poller has no descriptor")
	}
	return descriptors{epoll: all[epoll], event: all[event], inode: system.Inode(all[epoll])}, nil
}

// wait waits for an event, for at most limit milliseconds, or without a limit if limit is -1. The result is false if
// the limit is reached.
func (p *poller) wait(limit int) bool {
	fds := [1]unix.PollFd{{Fd: int32(p.own.epoll), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds[:], limit)
	return n > 0
}

// intact returns an error if a descriptor of the poller or the loop's eventfd was closed or refers to another file.
func (p *poller) intact(event int) error {
	for _, fd := range [...]int{p.own.epoll, p.own.event, event} {
		if system.Inode(fd) != p.own.inode || fd != p.own.epoll && !p.watches(fd) {
			return fmt.Errorf("the application closed descriptor %d, which belongs to the event loop", fd)
		}
	}
	return nil
}

// watches reports whether fd is still registered and still refers to the same file. In this case, epoll rejects a
// second registration.
func (p *poller) watches(fd int) bool {
	err := p.add(fd)
	if err == nil { // fd or the epoll descriptor now refers to a different file
		p.remove(fd)
	}
	return errors.Is(err, unix.EEXIST)
}

// BatchAllocations is the number of objects that gnet's poller allocates for each batch (for its list of tasks).
const BatchAllocations = 1
