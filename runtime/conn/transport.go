package conn

// Transport changes the bytes between a connection and its socket: TLS. Its methods are called on the loop, and do not block.
type Transport interface {
	// Read reads what the client has sent: io.EOF after the last byte, unix.EAGAIN if nothing has come. If it does not fill b,
	// nothing more has come; another error that it returns with bytes comes again.
	Read(b []byte) (int, error)

	// Write takes as many bytes as it has room for, and may keep a few of them in memory. It returns unix.EAGAIN if it has
	// not taken all.
	Write(b []byte) (int, error)

	// Flush writes what is in memory. It returns unix.EAGAIN until all of it is written.
	Flush() error

	// CloseWrite says that nothing more is written, once. Flush has to follow.
	CloseWrite() error
}

// secured is the transport of a connection. It makes the Conn of others only a pointer larger.
type secured struct{ Transport }
