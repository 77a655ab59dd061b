package conn

// A Transport encrypts and decrypts the bytes between a connection and its socket, on the loop and without blocking.
type Transport interface {
	// Read reads decrypted input into b. Read returns io.EOF after the last byte, and unix.EAGAIN if no input is
	// available. A read that does not fill b has emptied the socket. If Read returns bytes and an error, the next call
	// returns the error again.
	Read(b []byte) (int, error)

	// Write accepts bytes of b while there is room, and may keep accepted bytes in memory. It returns unix.EAGAIN if it
	// did not accept all of b.
	Write(b []byte) (int, error)

	// Flush writes the bytes in memory, and returns unix.EAGAIN until all of them are written.
	Flush() error

	// CloseWrite announces the end of the output. It must be called only once, and Flush must be called afterwards.
	CloseWrite() error
}

// A Conn points to secured instead of containing the interface, which saves a word in connections without a transport.
type secured struct{ Transport }
