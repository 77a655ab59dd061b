package conn

import (
	"crypto/tls"
	"net"

	"golang.org/x/sys/unix"
)

type TLSTransport struct {
	tls     *tls.Conn
	client  *TLSState
	http2   bool
	resumed bool
	wire    wire
}

var _ Transport = (*TLSTransport)(nil)

const pieceSize = 32 << 10 // in bytes of plaintext

// NewTLSClient returns the transport of a TLS connection to an upstream. Until NewUpstream is called, any goroutine may
// use the Conn of the transport.
func NewTLSClient(over net.Conn, config *tls.Config) *TLSTransport {
	t := &TLSTransport{wire: wire{Conn: over, over: over}}
	t.tls = tls.Client(&t.wire, config)
	return t
}

func (t *TLSTransport) Conn() *tls.Conn { return t.tls }

func (t *TLSTransport) Client() *TLSState { return t.client }

// HTTP2 reports whether the client negotiated HTTP/2 (ALPN, RFC 9113 §3.2).
func (t *TLSTransport) HTTP2() bool { return t.http2 }

// If the last record is complete and no further input is available, Read does not call crypto/tls again. This saves
// time for small records.
func (t *TLSTransport) Read(b []byte) (n int, err error) {
	defer t.wire.keep()
	t.wire.records = 0
	for n < len(b) {
		t.wire.room = len(b) - n
		// reading may make crypto/tls write, for example the answer to a KeyUpdate
		if t.wire.waiting() > pieceSize && t.Flush() == unix.EAGAIN {
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
		case err != unix.EAGAIN:
			return n, err
		case t.wire.records >= turnRecords && t.wire.frames.between():
			t.wire.c.ReadAgain()
			if n > 0 {
				return n, nil
			}
			return 0, unix.EAGAIN
		case n > 0:
			return n, nil
		case t.wire.empty:
			return 0, unix.EAGAIN
		// Only a part of a record has arrived, and the end of the input may follow. Read until the socket returns
		// EAGAIN.
		default:
			t.wire.drained = false
		}
	}
	return n, nil
}

func (t *TLSTransport) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		if t.wire.waiting() >= pieceSize {
			if err := t.Flush(); err != nil {
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

func (t *TLSTransport) Flush() error {
	w := &t.wire
	if w.out == nil {
		return nil
	}
	for w.waiting() > 0 {
		n, err := Send(int(w.c.fd), w.out[w.sent:], 0)
		if err == unix.EAGAIN {
			w.shrink()
			return err
		}
		if err != nil {
			return err
		}
		w.sent += n
	}
	w.s.giveBuffer(w.out)
	w.out, w.sent = nil, 0
	return nil
}

func (t *TLSTransport) CloseWrite() error { return t.tls.CloseWrite() }
