package system

import "golang.org/x/sys/unix"

const (
	// PollEnd makes poll(2) report that the peer has shut down its side.
	PollEnd = unix.POLLRDHUP

	// SendMore makes send(2) wait for more before it makes a packet.
	SendMore = unix.MSG_MORE
)
