package ctl

import (
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// wire is a socket with the bytes that have not been written to it. It is the net.Conn of crypto/tls: during the handshake it waits, on a goroutine,
// and from then on it is the loop's, and does not wait.
type wire struct {
	fd     int
	onLoop bool
	waiter *waiter // in the handshake
	out    []byte  // out[sent:] is not written yet
	sent   int
}

// waiter lets a goroutine wait for news of a socket, which the loop has.
type waiter struct {
	news  chan struct{} // holds one
	turns chan struct{} // see generator
	late  *time.Timer   // of the whole handshake
}

func newWaiter(turns chan struct{}, timeout time.Duration) *waiter {
	return &waiter{make(chan struct{}, 1), turns, time.NewTimer(timeout)}
}

// tell tells the goroutine of news. It must be called on the loop, and does not wait.
func (w *wire) tell() {
	select {
	case w.waiter.news <- struct{}{}:
	default: // it has news already
	}
}

// notYet is the error of a wire that has nothing to read now. crypto/tls goes on after it.
type notYet struct{}

var (
	errNotYet  net.Error = notYet{}
	errTimeout           = errors.New("timed out")
)

func (notYet) Error() string   { return "nothing has come" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	for {
		n, err := system.Receive(w.fd, b)
		switch {
		case err == unix.EAGAIN && w.onLoop:
			return 0, errNotYet
		case err == unix.EAGAIN:
			if err := w.waiter.wait(); err != nil {
				return 0, err
			}
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write implements net.Conn. On the loop, flush writes the bytes.
func (w *wire) Write(b []byte) (int, error) {
	w.out = append(w.out, b...)
	if w.onLoop {
		return len(b), nil
	}
	for {
		switch err := w.flush(); err {
		case nil:
			return len(b), nil
		case unix.EAGAIN:
			if err := w.waiter.wait(); err != nil {
				return 0, err
			}
		default:
			return 0, err
		}
	}
}

// wait waits for news of the socket, and lets others compute meanwhile.
func (w *waiter) wait() error {
	<-w.turns
	defer func() { w.turns <- struct{}{} }()
	select {
	case <-w.news:
		return nil
	case <-w.late.C:
		return errTimeout
	}
}

// flush writes as far as there is room. It returns unix.EAGAIN if something is left.
func (w *wire) flush() error {
	for w.sent < len(w.out) {
		n, err := system.Send(w.fd, w.out[w.sent:], 0)
		if err != nil {
			return err
		}
		w.sent += n
	}
	w.out, w.sent = w.out[:0], 0
	return nil
}

// Close implements net.Conn. The connection closes the socket.
func (w *wire) Close() error { return nil }

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return nil }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return nil }

// SetDeadline implements net.Conn.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
