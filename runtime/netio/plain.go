package netio

import (
	"io"

	"fapws/runtime/descriptors"

	"golang.org/x/sys/unix"
)

// Plain is a connection without TLS, as an exchange.Socket.
type Plain struct {
	Descriptor int
	TCP        bool
}

// Fd implements exchange.Socket.
func (s Plain) Fd() int { return s.Descriptor }

// Drains implements exchange.Socket. A read of a unix socket may end where one of the peer's writes has ended.
func (s Plain) Drains() bool { return s.TCP }

// Read implements exchange.Socket.
func (s Plain) Read(b []byte) (int, error) {
	n, err := Receive(s.Descriptor, b)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), err
}

// Write implements exchange.Socket.
func (s Plain) Write(b []byte) (int, error) { return Send(s.Descriptor, b, 0) }

// Flush implements exchange.Socket. Nothing waits outside of the kernel.
func (s Plain) Flush() error { return nil }

// CloseWrite implements exchange.Socket.
func (s Plain) CloseWrite() error { return unix.Shutdown(s.Descriptor, unix.SHUT_WR) }

// Close implements exchange.Socket.
func (s Plain) Close() error {
	descriptors.Release(s.Descriptor)
	return unix.Close(s.Descriptor)
}
