package secure

import (
	"crypto/tls"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"

	"golang.org/x/sys/unix"
)

// Transport encrypts a connection. It implements conn.Transport.
type Transport struct {
	tls     *tls.Conn
	client  *exchange.TLS
	http2   bool
	resumed bool
	wire    wire
}

var _ conn.Transport = (*Transport)(nil)

// pieceSize is how many bytes are encrypted before they are written.
const pieceSize = 32 << 10

// Client returns what handlers are told of the client.
func (t *Transport) Client() *exchange.TLS { return t.client }

// HTTP2 reports whether the client speaks HTTP/2 (ALPN, RFC 9113 §3.2).
func (t *Transport) HTTP2() bool { return t.http2 }

// Read implements conn.Transport.
func (t *Transport) Read(b []byte) (n int, err error) {
	t.wire.drained = false
	n, err = t.read(b)
	t.wire.keep()
	return n, err
}

// read is Read. Records of which all is used end it without asking crypto/tls for more, which costs a tenth of reading a small record.
func (t *Transport) read(b []byte) (n int, err error) {
	for n < len(b) {
		t.wire.room = len(b) - n
		if t.wire.waiting() > pieceSize && t.Flush() == unix.EAGAIN { // what is read may have to be answered: KeyUpdate
			if n > 0 {
				return n, nil
			}
			return 0, unix.EAGAIN
		}
		k, err := t.tls.Read(b[n:])
		n += k
		switch {
		case err == nil && n < len(b) && t.wire.drained && len(t.wire.in) == 0:
			return n, nil
		case err == nil:
		case err != errNotYet:
			return n, err
		case n > 0:
			return n, nil
		default:
			return 0, unix.EAGAIN
		}
	}
	return n, nil
}

// Write implements conn.Transport.
func (t *Transport) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		if t.wire.waiting() >= pieceSize {
			if err := t.Flush(); err == unix.EAGAIN && n > 0 {
				return n, nil
			} else if err != nil {
				return n, err
			}
		}
		k, err := t.tls.Write(b[:min(len(b), pieceSize)])
		if n += k; err != nil {
			return n, err
		}
		b = b[k:]
	}
	return n, nil
}

// Flush implements conn.Transport.
func (t *Transport) Flush() error { return t.wire.flush() }

// CloseWrite implements conn.Transport: it sends close_notify.
func (t *Transport) CloseWrite() error { return t.tls.CloseWrite() }
