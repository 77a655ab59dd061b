package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"fapws/runtime/backend"

	"golang.org/x/sys/unix"
)

// tunnel passes bytes on between a client and the server, which speak another
// protocol. Each direction is a goroutine that reads no more than it has written, so
// who reads slowly slows down who writes. One that waits holds no buffer.
type tunnel struct {
	*backend.Tunnel
	server  net.Conn
	idle    time.Duration // without a byte in either direction; 0: any
	patient time.Duration // until the client has to take something

	moved  atomic.Int64 // when a byte was last read or written, Unix nanoseconds
	half   atomic.Bool  // one side has sent its last byte
	watch  *time.Timer
	ending sync.Once
	cause  error
}

// halfIdle is how long a tunnel of which one side has shut down lasts without a byte of
// the other.
const halfIdle = 30 * time.Second

var (
	errSlowClient = errors.New("the client takes nothing")
	errClientGone = errors.New("the client has gone")
)

func newTunnel(t *backend.Tunnel, server net.Conn, o *Options) *tunnel {
	return &tunnel{Tunnel: t, server: server, idle: max(0, o.TunnelTimeout), patient: o.WriteTimeout}
}

// run returns when both sides have sent their last byte, one is broken, nothing came
// for too long, or ctx has ended. ahead is what the server has sent already. The error says
// why a tunnel had to be ended, nil if that is nobody's fault but the client's.
func (t *tunnel) run(ctx context.Context, ahead []byte) error {
	unbind := context.AfterFunc(ctx, func() { t.end(errClientGone) })
	defer unbind()
	t.moved.Store(time.Now().UnixNano())
	t.watch = time.AfterFunc(forever, t.look)
	t.watch.Reset(t.limit())
	up := make(chan struct{})
	go func() {
		defer close(up)
		t.toServer()
	}()
	t.toClient(ahead)
	<-up
	t.watch.Stop()
	t.end(nil)
	if errors.Is(t.cause, errClientGone) {
		return nil
	}
	return t.cause
}

// end makes both directions end, for a reason. The first one counts. Any goroutine.
func (t *tunnel) end(cause error) {
	t.ending.Do(func() {
		t.cause = cause
		t.Client.SetDeadline(time.Unix(1, 0))
		plain(t.server).Close()
	})
}

// forever is longer than anybody waits.
const forever = 1 << 62 * time.Nanosecond

// limit is how long the tunnel may be idle.
func (t *tunnel) limit() time.Duration {
	limit := t.idle
	if limit == 0 {
		limit = forever
	}
	if t.half.Load() {
		limit = min(limit, halfIdle)
	}
	return limit
}

// look ends a tunnel that has been idle for too long.
func (t *tunnel) look() {
	limit := t.limit()
	left := limit - time.Since(time.Unix(0, t.moved.Load()))
	switch {
	case left > 0:
		t.watch.Reset(left)
	case t.half.Load():
		t.end(errClientGone) // it has ended, but for a farewell
	default:
		t.end(fmt.Errorf("nothing was said for %v", limit))
	}
}

// halved is called when one side has sent its last byte, or takes no more.
func (t *tunnel) halved() {
	t.half.Store(true)
	t.watch.Reset(t.limit())
}

// toServer passes on what the client sends.
func (t *tunnel) toServer() {
	if !t.send(t.Early) {
		return
	}
	t.Early = nil
	from, err := newSource(t.Client)
	for err == nil {
		var data []byte
		data, err = from.next()
		if err == nil && !t.send(data) {
			return
		}
		from.done()
	}
	if err != io.EOF {
		t.end(errClientGone)
		return
	}
	if c, ok := t.server.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	t.halved()
}

// send gives bytes of the client to the server.
func (t *tunnel) send(data []byte) bool {
	if len(data) == 0 {
		return true
	}
	t.touch()
	t.In.Add(int64(len(data)))
	if _, err := t.server.Write(data); err != nil {
		t.halved() // what it has sent before it left is still for the client
		return false
	}
	t.touch()
	return true
}

// toClient passes on what the server sends.
func (t *tunnel) toClient(ahead []byte) {
	to := &slow{file: t.Client, patience: t.patient}
	if err := to.write(t.Head); err != nil {
		t.end(err)
		return
	}
	t.Head = nil
	if !t.give(to, ahead) {
		return
	}
	from, err := newSource(t.server)
	for err == nil {
		var data []byte
		data, err = from.next()
		if err == nil && !t.give(to, data) {
			return
		}
		from.done()
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF { // of TLS: an end without its farewell
		t.end(fmt.Errorf("the server broke off: %w", err))
		return
	}
	shutWrite(t.Client)
	t.halved()
}

// give gives bytes of the server to the client.
func (t *tunnel) give(to *slow, data []byte) bool {
	if len(data) == 0 {
		return true
	}
	t.touch()
	if err := to.write(data); err != nil {
		t.end(err)
		return false
	}
	t.Out.Add(int64(len(data)))
	t.touch()
	return true
}

func (t *tunnel) touch() { t.moved.Store(time.Now().UnixNano()) }

// slow is a client that may take its time as long as it takes something.
type slow struct {
	file     *os.File
	patience time.Duration
	since    time.Time // when the deadline was set
}

// write writes all of data. The error is errSlowClient if the client has taken nothing
// for patience, which is noticed within two and a half times that, or errClientGone.
func (s *slow) write(data []byte) error {
	for len(data) > 0 {
		if now := time.Now(); now.Sub(s.since) > s.patience/4 {
			s.file.SetWriteDeadline(now.Add(s.patience + s.patience/4))
			s.since = now
		}
		n, err := s.file.Write(data)
		data = data[n:]
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return errClientGone
		case n == 0:
			return errSlowClient
		}
	}
	return nil
}

func shutWrite(f *os.File) {
	if c, err := f.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
	}
}

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// source reads from a connection.
type source interface {
	// next waits for bytes, which live until done. At the end it returns io.EOF.
	next() ([]byte, error)
	done()
}

func newSource(from interface{ Read([]byte) (int, error) }) (source, error) {
	if c, ok := from.(*tls.Conn); ok {
		return &secured{conn: c, small: make([]byte, smallRead)}, nil
	}
	conn, err := from.(syscall.Conn).SyscallConn()
	return &bare{conn: conn}, err
}

// bare is a source that takes a buffer when there is something to read.
type bare struct {
	conn syscall.RawConn
	buf  *[bufferSize]byte
}

func (s *bare) next() (data []byte, err error) {
	wait := s.conn.Read(func(fd uintptr) bool {
		s.buf = buffers.Get().(*[bufferSize]byte)
		n, errno := receive(fd, s.buf[:])
		switch {
		case errno == unix.EAGAIN:
			s.done()
			return false
		case errno != 0:
			err = errno
		case n == 0:
			err = io.EOF
		default:
			data = s.buf[:n]
		}
		return true
	})
	if err == nil {
		err = wait
	}
	return data, err
}

// receive is recv(2). It does not wait, so Go's scheduler need not hear of it.
func receive(fd uintptr, buf []byte) (n int, errno syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func (s *bare) done() {
	if s.buf != nil {
		buffers.Put(s.buf)
		s.buf = nil
	}
}

// smallRead is what is kept for a connection with TLS, which can only be waited for with
// somewhere to read to.
const smallRead = 4 << 10

// secured is a source that reads more at a time while there is more.
type secured struct {
	conn  *tls.Conn
	small []byte
	large *[bufferSize]byte
}

func (s *secured) next() ([]byte, error) {
	buf := s.small
	if s.large != nil {
		buf = s.large[:]
	}
	n, err := s.conn.Read(buf)
	switch {
	case n == len(s.small) && s.large == nil:
		s.large = buffers.Get().(*[bufferSize]byte) // for the next time
	case n < len(s.small) && s.large != nil:
		data := s.small[:copy(s.small, buf[:n])]
		buffers.Put(s.large)
		s.large = nil
		return data, errIfEmpty(n, err)
	}
	return buf[:n], errIfEmpty(n, err)
}

// errIfEmpty leaves an error that came with bytes for the next time.
func errIfEmpty(n int, err error) error {
	if n > 0 {
		return nil
	}
	return err
}

func (s *secured) done() {}
