package exchange

import "time"

// Tunnel is the answer to a Request.WebSocket where Mount.Tunnels: the loop passes bytes between the client and an
// upstream, which speak a protocol that is none of its business.
type Tunnel struct {
	// Upstream is the connection to the upstream. The loop takes it by setting it to nil, and closes it then.
	// Otherwise Release does.
	Upstream Socket

	Ahead []byte        // bytes from the upstream that were already read; they follow the head
	Idle  time.Duration // maximum time without a byte in either direction; 0: no limit

	// Ended is called when the tunnel has ended for a reason that an operator should see. It must not block. It is
	// called on the loop, and not nil.
	Ended func(error)
}

// Socket is a connection that does not block. Its methods must be called on the loop.
type Socket interface {
	// Fd returns the descriptor that is readable or writable when a method is worth calling again.
	Fd() int

	// Drains reports whether a Read that does not fill its buffer has read everything that had come.
	Drains() bool

	// Read returns what has come: at least a byte, io.EOF after the last one, or unix.EAGAIN.
	Read(b []byte) (int, error)

	// Write writes as much of b as it can. It returns unix.EAGAIN if that is nothing.
	Write(b []byte) (int, error)

	// Flush writes what Read, Write or CloseWrite have left in memory. It returns unix.EAGAIN until all of it is
	// written.
	Flush() error

	// CloseWrite says that nothing more is written. Flush may be needed afterwards.
	CloseWrite() error

	Close() error
}
