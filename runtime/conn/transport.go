package conn

// A Transport encrypts and decrypts the bytes between a connection and its socket. The methods of a Transport are
// called on the loop and do not block.
type Transport interface {
	// Read reads input: it returns io.EOF after the last byte, and unix.EAGAIN if no input is available. A read that
	// does not fill b has emptied the socket. An error that it returns together with bytes is returned again by the
	// next call.
	Read(b []byte) (int, error)

	// Write accepts as many bytes of b as there is room for, and may keep a few of them in memory. Write returns
	// unix.EAGAIN if it did not accept all bytes.
	Write(b []byte) (int, error)

	// Flush writes the bytes in memory. Flush returns unix.EAGAIN until all of them are written.
	Flush() error

	// CloseWrite announces the end of the output, once. The caller must call Flush afterwards.
	CloseWrite() error
}

// secured holds a Transport. A pointer to it needs one word less than an interface in connections without a transport.
type secured struct{ Transport }
