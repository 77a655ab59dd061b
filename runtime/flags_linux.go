package runtime

import "golang.org/x/sys/unix"

const (
	// pollEnd makes poll(2) report that the peer has shut down its side.
	pollEnd = unix.POLLRDHUP

	// sendMore makes send(2) wait for more before it makes a packet.
	sendMore = unix.MSG_MORE
)
