package eventloop

import "golang.org/x/sys/unix"

// pollersOwn is a descriptor whose events the poller keeps for itself: on Linux, none that is ever used
// again.
const pollersOwn = -1

// readiness translates what epoll reports.
func readiness(e uint32, _ uint16) (r Readiness) {
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
