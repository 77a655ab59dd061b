package conn

import (
	"bytes"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// wire is the net.Conn that crypto/tls reads from and writes to. It is the loop's, unless a handshake has it, or the client of an upstream.
type wire struct {
	net.Conn // to an upstream, until it was closed; unopened
	c        *Conn
	s        *TLSServer
	over     io.ReadWriter // that the goroutine reads from and writes to: the handshake, or Conn; nil: the wire is the loop's

	in      []byte // received, and not given to crypto/tls
	shared  bool   // in is in memory of the Server, until Transport.Read ends
	room    int    // bytes of what Transport.Read was given that are free
	out     []byte // records to be written; out[:sent] were
	sent    int
	drained bool // nothing is left in the socket but perhaps the end
	empty   bool // the socket has said EAGAIN
	frames  framing
	records int // read since Transport.Read began
}

// notYet is the error of a wire that has nothing to read now.
type notYet struct{}

// errNotYet is what a net.Conn on the loop returns to crypto/tls when nothing has come.
var errNotYet net.Error = notYet{}

func (notYet) Error() string { return "nothing has come" }

func (notYet) Timeout() bool { return true }

func (notYet) Temporary() bool { return true }

// Read implements net.Conn. It does not read beyond a record.
func (w *wire) Read(b []byte) (n int, err error) {
	if w.over == nil && w.records >= turnRecords && w.frames.between() {
		return 0, errNotYet
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

// receive reads from the socket into w.in, which is empty.
func (w *wire) receive() error {
	if w.over != nil {
		b := make([]byte, overSize)
		n, err := w.over.Read(b)
		w.in = b[:n]
		return err
	}
	if w.drained {
		return errNotYet
	}
	if w.s.input == nil {
		w.s.input = make([]byte, inputSize)
	}
	b := w.s.input[:min(max(w.room, minInput), inputSize)]
	n, err := Receive(int(w.c.fd), b)
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
	w.drained = n < len(b) && w.c.tcp // a read of a unix socket may end where one of the client's writes has ended
	return nil
}

// keep ends the use of the Server's memory for input, and what is known of the socket.
func (w *wire) keep() {
	switch {
	case len(w.in) == 0:
		w.in = nil
	case w.shared:
		w.in = bytes.Clone(w.in)
	}
	w.shared, w.drained, w.empty = false, false, false
}

// Write implements net.Conn. It takes everything: crypto/tls cannot write a part of a record.
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

// waiting returns how many bytes wait for room in the socket.
func (w *wire) waiting() int { return len(w.out) - w.sent }

// shrink gives memory back that the records which wait, perhaps for long, do not need.
func (w *wire) shrink() {
	if w.waiting() < cap(w.out)/2 {
		rest := append([]byte(nil), w.out[w.sent:]...)
		w.s.giveBuffer(w.out)
		w.out, w.sent = rest, 0
	}
}

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr {
	if w.c == nil {
		return w.Conn.LocalAddr()
	}
	return w.c.Local
}

// unopened is below TLS of clients. It refuses deadlines, which crypto/tls sets to say goodbye: the connection has deadlines of its own.
var unopened net.Conn = new(net.TCPConn)

// framing follows the records that crypto/tls is given (RFC 8446 §5.1), so that it is given one at a time: its buffer for input, which a connection
// keeps, grows to several records otherwise.
type framing struct {
	head [recordHeader]byte // of the next record; head[:have] are the bytes received so far
	have uint8
	left uint16 // bytes of the last record that are missing
}

// limit returns how many bytes may be given: no more than the rest of a record. next are the bytes available.
func (f *framing) limit(next []byte) int {
	switch {
	case f.left > 0:
		return int(f.left)
	case f.have == 0 && len(next) >= recordHeader:
		return recordHeader + recordSize(next)
	}
	return recordHeader - int(f.have)
}

// between reports whether the next byte begins a record.
func (f *framing) between() bool { return f.have == 0 && f.left == 0 }

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
