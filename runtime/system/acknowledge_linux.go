package system

import "golang.org/x/sys/unix"

// Acknowledge has a connection of TCP acknowledge the received data at once: see TCP_QUICKACK in tcp(7). The kernel waits up to 40 ms for
// data to send it with, and a peer with Nagle's algorithm (RFC 896) does not send more meanwhile. On systems other than Linux it does nothing.
func Acknowledge(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }
