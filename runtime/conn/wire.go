package conn

import (
	"bytes"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// wire is the net.Conn that crypto/tls reads from and writes to.
type wire struct {
	s             *TLSServer
	handshake     *Handshake // whose goroutine has the wire; nil: it is the loop's
	local, remote net.Addr

	in      []byte // received, and not given to crypto/tls
	shared  bool   // in is in memory of the Server, until Transport.Read ends
	room    int    // bytes of what Transport.Read was given that are free
	out     []byte // records to be written; out[:sent] were
	sent    int
	fd      int32
	tcp     bool
	drained bool // nothing is left in the socket but perhaps the end
	empty   bool // the socket has said EAGAIN
	frames  framing
	turn    *turn // of the handshake
}

// notYet is the error of a wire that has nothing to read now.
type notYet struct{}

var errNotYet net.Error = notYet{}

func (notYet) Error() string   { return "nothing has come" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

// Read implements net.Conn. It does not read beyond a record.
func (w *wire) Read(b []byte) (n int, err error) {
	if h := w.handshake; h != nil {
		n, err = h.read(b[:min(len(b), w.frames.limit(nil))])
	} else {
		if len(w.in) == 0 {
			err = w.receive()
		}
		n = copy(b[:min(len(b), w.frames.limit(w.in))], w.in)
		w.in = w.in[n:]
	}
	w.frames.follow(b[:n])
	return n, err
}

// receive reads from the socket into w.in, which is empty.
func (w *wire) receive() error {
	if w.drained {
		return errNotYet
	}
	b := w.s.inputBuffer(w.room)
	n, err := system.Receive(int(w.fd), b)
	switch {
	case err == unix.EAGAIN:
		w.drained, w.empty = true, true
		return errNotYet
	case err != nil:
		return err
	case n == 0:
		return io.EOF
	}
	w.in, w.shared = b[:n], true
	w.drained = n < len(b) && w.tcp // a read of a unix socket may end where one of the client's writes has ended
	return nil
}

// keep ends the use of the Server's memory for input.
func (w *wire) keep() {
	switch {
	case len(w.in) == 0:
		w.in = nil
	case w.shared:
		w.in = bytes.Clone(w.in)
	}
	w.shared = false
}

// Write implements net.Conn. It takes everything: crypto/tls cannot write a part of a record.
func (w *wire) Write(b []byte) (int, error) {
	if h := w.handshake; h != nil {
		return h.write(b)
	}
	if w.out == nil {
		w.out = w.s.takeBuffer()
	}
	w.out = append(w.out, b...)
	return len(b), nil
}

// waiting returns how many bytes wait for room in the socket.
func (w *wire) waiting() int { return len(w.out) - w.sent }

// flush writes the records that wait. It returns unix.EAGAIN if some are left.
func (w *wire) flush() error {
	if w.out == nil {
		return nil
	}
	for w.waiting() > 0 {
		n, err := system.Send(int(w.fd), w.out[w.sent:], 0)
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

// shrink gives memory back that the records which wait, perhaps for long, do not need.
func (w *wire) shrink() {
	if w.waiting() < cap(w.out)/2 {
		rest := append([]byte(nil), w.out[w.sent:]...)
		w.s.giveBuffer(w.out)
		w.out, w.sent = rest, 0
	}
}

// Close implements net.Conn. The connection closes the socket.
func (w *wire) Close() error { return nil }

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return w.local }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return w.remote }

// SetDeadline implements net.Conn. The connection has deadlines of its own.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// framing follows the records that crypto/tls is given (RFC 8446 §5.1), so that it is given one at a time: its buffer for input, which a connection
// keeps, grows to several records otherwise.
type framing struct {
	head [recordHeader]byte // of the next record, as far as it was given: head[:have]
	have uint8
	left uint16 // bytes of the last record that are missing
}

// limit returns how many bytes may be given, of which next are there: no more than the rest of a record.
func (f *framing) limit(next []byte) int {
	switch {
	case f.left > 0:
		return int(f.left)
	case f.have == 0 && len(next) >= recordHeader:
		return recordHeader + recordSize(next)
	}
	return recordHeader - int(f.have)
}

// follow takes the next bytes that crypto/tls is given, within their limit.
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

// recordSize returns the size of a record behind its header.
func recordSize(header []byte) int { return int(header[3])<<8 | int(header[4]) }
