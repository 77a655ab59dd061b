package conn

import (
	"bytes"
	"crypto/tls"
	"io"
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

// NewTLSClient returns the transport of a TLS connection to an upstream. Until Adopt is called, any goroutine may use the
// Conn of the transport.
func NewTLSClient(carrier net.Conn, config *tls.Config) *TLSTransport {
	t := &TLSTransport{wire: wire{Conn: carrier, over: carrier}}
	t.tls = tls.Client(&t.wire, config)
	return t
}

func (t *TLSTransport) Conn() *tls.Conn { return t.tls }

func (t *TLSTransport) TLS() *TLSState { return t.client }

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
			t.wire.c.readAfterOutput()
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

// wire is the net.Conn that crypto/tls reads from and writes to. wire belongs to the loop, except during a handshake
// and before Adopt.
type wire struct {
	// For an upstream, this is the connection that Adopt closes.
	net.Conn
	c *Conn
	s *TLSServer
	// the connection that a goroutine reads and writes; nil if the wire belongs to the loop
	over io.ReadWriter

	in []byte // received bytes that crypto/tls has not read yet
	// wire.in is a slice of TLSServer.input, and must be copied when TLSTransport.Read ends
	shared bool
	room   int    // free bytes in the buffer of TLSTransport.Read
	out    []byte // out[sent:] are records that must be written
	sent   int
	// the socket has no more bytes, but the end of the input may follow
	drained bool
	empty   bool
	frames  framing
	records int // records read since TLSTransport.Read began
}

// Read does not read beyond the end of a record. Without input, Read returns unix.EAGAIN. This is
// a temporary net.Error, so crypto/tls keeps the incomplete record.
func (w *wire) Read(b []byte) (n int, err error) {
	if w.over == nil && w.records >= turnRecords && w.frames.between() {
		return 0, unix.EAGAIN
	}
	if len(w.in) == 0 {
		err = w.receive()
	}
	n = copy(b[:min(len(b), w.frames.limit(w.in))], w.in)
	w.in = w.in[n:]
	if w.frames.follow(b[:n]); n > 0 && w.frames.between() {
		w.records++
	}
	return n, err
}

func (w *wire) receive() error {
	if w.over != nil {
		b := make([]byte, overSize)
		n, err := w.over.Read(b)
		w.in = b[:n]
		return err
	}
	if w.drained {
		return unix.EAGAIN
	}
	if w.s.input == nil {
		w.s.input = make([]byte, inputSize)
	}
	b := w.s.input[:min(max(w.room, minInput), inputSize)]
	n, err := Receive(int(w.c.fd), b)
	switch {
	case err != nil:
		w.drained, w.empty = true, true
		return err
	case n == 0:
		return io.EOF
	}
	w.in, w.shared = b[:n], true
	// only for TCP does a short read show that the socket is empty; a read of a unix socket may also end where a write
	// of the client ended
	w.drained = n < len(b) && w.c.tcp
	return nil
}

// keep copies the rest of the input out of TLSServer.input and resets the fields that are valid for one Read.
func (w *wire) keep() {
	switch {
	case len(w.in) == 0:
		w.in = nil
	case w.shared:
		w.in = bytes.Clone(w.in)
	}
	w.shared, w.drained, w.empty = false, false, false
}

// Write buffers all of b, because crypto/tls does not support partial writes of a record.
func (w *wire) Write(b []byte) (int, error) {
	if w.over != nil {
		return w.over.Write(b)
	}
	if w.out == nil {
		w.out = w.s.takeBuffer()
	}
	w.out = append(w.out, b...)
	return len(b), nil
}

func (w *wire) waiting() int { return len(w.out) - w.sent }

func (w *wire) shrink() {
	if w.waiting() < cap(w.out)/2 {
		rest := append([]byte(nil), w.out[w.sent:]...)
		w.s.giveBuffer(w.out)
		w.out, w.sent = rest, 0
	}
}

func (w *wire) LocalAddr() net.Addr {
	if w.c == nil {
		return w.Conn.LocalAddr()
	}
	return w.c.Local
}

// unopened is the net.Conn in the wires of clients. crypto/tls sets a deadline for close_notify. The method of unopened
// returns an error, which crypto/tls ignores.
var unopened net.Conn = new(net.TCPConn)

// framing tracks record boundaries (RFC 8446 §5.1), so that crypto/tls receives one record at a time. Otherwise the
// input buffer of crypto/tls, which each connection keeps, would grow to several records.
type framing struct {
	head [recordHeader]byte // head[:have] is the beginning of the next record's header
	have uint8
	left uint16 // missing bytes of the current record
}

// limit returns how many bytes of the available input crypto/tls may receive now. The result never exceeds the rest of
// the current record.
func (f *framing) limit(next []byte) int {
	switch {
	case f.left > 0:
		return int(f.left)
	case f.have == 0 && len(next) >= recordHeader:
		return recordHeader + recordSize(next)
	}
	return recordHeader - int(f.have)
}

func (f *framing) between() bool { return f.have == 0 && f.left == 0 }

// follow updates the state after crypto/tls has received b, which must not be longer than the result of limit.
func (f *framing) follow(b []byte) {
	if f.left > 0 {
		f.left -= uint16(len(b))
		return
	}
	n := copy(f.head[f.have:], b)
	if f.have += uint8(n); f.have == recordHeader {
		f.have, f.left = 0, uint16(recordSize(f.head[:])-(len(b)-n))
	}
}

func recordSize(header []byte) int { return int(header[3])<<8 | int(header[4]) }
