package secure

import (
	"io"
	"net"
	"time"

	"fapws/runtime/netio"

	"golang.org/x/sys/unix"
)

// wire is the net.Conn that crypto/tls reads from and writes to.
type wire struct {
	s             *Server
	handshake     *Handshake // whose goroutine has the wire; nil: it is the loop's
	local, remote net.Addr

	in      []byte // was read from the socket before the wire was the loop's
	out     []byte // records to be written; out[:sent] were
	sent    int
	fd      int32
	tcp     bool
	drained bool // nothing is left in the socket
	frames  framing
	turn    *turn // of the handshake
}

// notYet is the error of a wire that has nothing to read now.
type notYet struct{}

var errNotYet net.Error = notYet{}

func (notYet) Error() string   { return "nothing has come" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.receive(b)
	if n > 0 {
		w.frames.follow(b[:n])
	}
	return n, err
}

// receive is Read.
func (w *wire) receive(b []byte) (int, error) {
	if h := w.handshake; h != nil {
		return h.read(b)
	}
	if len(w.in) > 0 {
		n := copy(b, w.in)
		if w.in = w.in[n:]; len(w.in) == 0 {
			w.in = nil
		}
		return n, nil
	}
	if w.drained {
		return 0, errNotYet
	}
	n, err := netio.Receive(int(w.fd), b)
	switch {
	case err == unix.EAGAIN:
		w.drained = true
		return 0, errNotYet
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	w.drained = n < len(b) && w.tcp // a read of a unix socket may end where one of the client's writes has ended
	return n, nil
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
		n, err := netio.Send(int(w.fd), w.out[w.sent:], 0)
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
