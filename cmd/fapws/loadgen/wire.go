package loadgen

import (
	"errors"
	"io"
	"net"
	"time"

	"fapws/runtime/netio"

	"golang.org/x/sys/unix"
)

// wire is a socket with the bytes that have not been written to it. It is the net.Conn of crypto/tls: during the handshake it waits, on a goroutine,
// and from then on it is the loop's, and does not wait.
type wire struct {
	fd      int
	onLoop  bool
	timeout time.Duration // of each wait in the handshake
	out     []byte        // out[sent:] is not written yet
	sent    int
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
		n, err := netio.Receive(w.fd, b)
		switch {
		case err == unix.EAGAIN && w.onLoop:
			return 0, errNotYet
		case err == unix.EAGAIN:
			if err := w.wait(unix.POLLIN); err != nil {
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
			if err := w.wait(unix.POLLOUT); err != nil {
				return 0, err
			}
		default:
			return 0, err
		}
	}
}

// wait waits for news of the socket.
func (w *wire) wait(events int16) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: events}}, int(w.timeout.Milliseconds()))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return errTimeout
		default:
			return nil
		}
	}
}

// flush writes as far as there is room. It returns unix.EAGAIN if something is left.
func (w *wire) flush() error {
	for w.sent < len(w.out) {
		n, err := netio.Send(w.fd, w.out[w.sent:], 0)
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
