package ctl

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
)

// session is what a connection speaks.
type session interface {
	// room returns how many requests may be started.
	room() int

	// start writes a request.
	start(r benchRequest)

	// input takes bytes that have come. They are valid until it returns.
	input(b []byte) error

	// ended is told that the server has closed the connection, or its sending side. It returns nil if no request waits for a response.
	ended() error

	// closing reports whether the connection has to be closed, as no request can be started on it.
	closing() bool

	// waiting returns how many requests wait for responses, and when the first of them was sent.
	waiting() (n int, first time.Duration)
}

// connection is one of the connections of a generator. When it fails or is closed, it is opened again.
type connection struct {
	g       *generator
	watch   eventloop.Watch
	session session // nil: it is not open
	tls     *tls.Conn
	wire    wire
	plain   []byte        // bytes that TLS has to encrypt
	fd      int           // -1: there is none
	since   time.Duration // when opening it began
	idle    bool          // it is in the ring of g
	tried   bool          // it was opened, or could not be, at least once
	locked  bool          // a goroutine does the handshake of TLS
	used    bool          // a request was started since it was opened
}

var errClosed = errors.New("closed before the response")

// open begins to open c.
func (c *connection) open() {
	t := c.g.target
	c.since = c.g.now
	fd, err := unix.Socket(c.g.family, unix.SOCK_STREAM, 0)
	if err != nil {
		c.refused(err)
		return
	}
	unix.CloseOnExec(fd)
	c.fd, c.used, c.wire = fd, false, wire{fd: fd, onLoop: t.tls == nil, out: c.wire.out[:0]}
	if err = unix.SetNonblock(fd, true); err == nil && c.g.family != unix.AF_UNIX {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil {
		if err = unix.Connect(fd, c.g.address); err == unix.EINPROGRESS || err == unix.EINTR {
			err = nil
		}
	}
	if err == nil {
		err = c.g.loop.Add(&c.watch, fd, c)
	}
	if err == nil {
		err = c.watch.WantRoom(true)
	}
	if err != nil {
		c.refused(err)
	}
}

// refused counts an attempt to open c that has failed. The next tick tries again.
func (c *connection) refused(err error) {
	c.close()
	why := reason(err)
	if errors.As(err, new(unix.Errno)) {
		why += "; start the server there, or correct the address"
	}
	c.g.counts.refused[why]++
	c.g.wasTried(c)
}

// Ready implements eventloop.Handler.
func (c *connection) Ready(r eventloop.Readiness) {
	c.g.clock()
	switch {
	case c.locked:
		c.wire.tell()
	case c.session == nil:
		c.connected(r)
	default:
		c.turn(r)
	}
	c.g.settle()
}

// connected goes on when the kernel has connected c, or could not.
func (c *connection) connected(r eventloop.Readiness) {
	if code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		c.refused(errors.Join(err, unix.Errno(code)))
		return
	}
	if r&eventloop.Writable == 0 {
		return
	}
	if c.g.target.tls != nil {
		c.shakeHands()
		return
	}
	c.ready()
}

// shakeHands has a goroutine do the handshake of TLS. As many compute at once as there are generators; those that wait for the
// server let others compute.
func (c *connection) shakeHands() {
	c.locked = true
	c.wire.waiter = &waiter{make(chan struct{}, 1), c.g.turns, time.NewTimer(c.g.target.timeout)}
	client := tls.Client(&c.wire, c.g.target.tls)
	c.tls = client
	go func() {
		c.g.turns <- struct{}{}
		err := client.Handshake()
		<-c.g.turns
		c.g.loop.Post(func() {
			c.locked = false
			c.wire.onLoop = true
			c.g.clock()
			switch {
			case c.g.phase == over:
				c.close()
			case err != nil:
				c.refused(err)
			case c.g.target.http2 && client.ConnectionState().NegotiatedProtocol != "h2":
				c.refused(errors.New("the server does not offer HTTP/2"))
			default:
				c.ready()
			}
			c.g.settle()
		})
	}()
}

// ready begins with the session.
func (c *connection) ready() {
	if err := c.watch.WantRoom(false); err != nil {
		c.refused(err)
		return
	}
	if c.g.target.http2 {
		c.session = newHTTP2(c)
	} else {
		c.session = &http1Session{c: c}
	}
	c.g.open++
	c.g.wasTried(c)
	c.turn(eventloop.Readable)
}

// turn reads the input, starts the next requests, and writes them.
func (c *connection) turn(r eventloop.Readiness) {
	if err := c.read(r); err != nil {
		c.fail(err)
		return
	}
	if c.session.closing() {
		if n, _ := c.session.waiting(); n == 0 {
			c.reopen()
			return
		}
	}
	c.g.fill(c)
	c.flush()
}

// readsAtOnce is how often a connection is read before the loop looks after others and after the time: a server may send faster
// than it is read, without an end.
const readsAtOnce = 16

// read reads the input.
func (c *connection) read(r eventloop.Readiness) error {
	for range readsAtOnce {
		n, err := c.receive(c.g.in)
		switch {
		case err == unix.EAGAIN:
			return nil
		case err == io.EOF:
			if err := c.session.ended(); err != nil {
				return err
			}
			return io.EOF
		case err != nil:
			return err
		}
		if err := c.session.input(c.g.in[:n]); err != nil {
			return err
		}
		if n < len(c.g.in) && c.tls == nil && r&(eventloop.MaybeGone|eventloop.Urgent) == 0 {
			return nil // the socket is empty
		}
	}
	c.watch.Again()
	return nil
}

func (c *connection) receive(b []byte) (int, error) {
	if c.tls == nil {
		n, err := conn.Receive(c.fd, b)
		if n == 0 && err == nil {
			err = io.EOF
		}
		return n, err
	}
	n, err := c.tls.Read(b)
	switch {
	case n > 0:
		return n, nil
	case err == errNotYet:
		return 0, unix.EAGAIN
	}
	return 0, err
}

// Write takes bytes that flush writes. It implements io.Writer.
func (c *connection) Write(b []byte) (int, error) {
	if c.tls != nil {
		c.plain = append(c.plain, b...)
		return len(b), nil
	}
	return c.wire.Write(b)
}

// flush writes as far as there is room.
func (c *connection) flush() {
	if c.session == nil {
		return
	}
	var err error
	if len(c.plain) > 0 {
		_, err = c.tls.Write(c.plain)
		c.plain = c.plain[:0]
	}
	if err == nil {
		err = c.wire.flush()
	}
	if err == nil || err == unix.EAGAIN {
		err = c.watch.WantRoom(err == unix.EAGAIN)
	}
	if err != nil {
		c.fail(err)
	}
}

// fail ends c: its requests get no responses. io.EOF is an end without any.
func (c *connection) fail(err error) {
	n, _ := c.session.waiting()
	c.g.failed(n, reason(err))
	c.reopen()
}

// unsent returns how many bytes have not been written.
func (c *connection) unsent() int { return len(c.plain) + len(c.wire.out) - c.wire.sent }

// reopen closes c and opens it again. If the server has closed it before the first request, it is the next tick that opens it:
// such a server must not be hammered.
func (c *connection) reopen() {
	c.close()
	if c.used && c.wanted() {
		c.open()
	}
}

// wanted reports whether c may still be needed.
func (c *connection) wanted() bool {
	g := c.g
	return g.phase != over && (g.phase != sending || len(g.refused) > 0 || !g.schedule.over(g.now))
}

func (c *connection) close() {
	if c.session != nil {
		c.g.open--
	}
	if c.fd >= 0 && !c.locked {
		c.watch.Remove()
		unix.Close(c.fd)
		c.fd = -1
	}
	c.session, c.tls, c.plain = nil, nil, nil
}

// tick ends what takes too long, and opens c again if that has failed.
func (c *connection) tick() {
	late := c.g.now - c.g.target.timeout
	switch {
	case c.locked || c.g.phase == over: // the handshake has a timeout of its own
	case c.fd < 0:
		if c.wanted() {
			c.open()
		}
	case c.session == nil:
		if c.since < late {
			c.refused(errTimeout)
		}
	default:
		if n, first := c.session.waiting(); n > 0 && first < late {
			c.fail(errTimeout)
		}
	}
}

// reason returns an error as it is counted.
func reason(err error) string {
	var code unix.Errno
	var unverified *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unverified):
		return unverified.Err.Error() + "; see --cacert and --insecure"
	case errors.As(err, &record):
		return "the server does not speak TLS; use http://"
	case errors.As(err, &code):
		return code.Error()
	}
	return err.Error()
}

// wire is a socket with the bytes that have not been written to it. It is the net.Conn of crypto/tls: during the handshake it waits, on a goroutine,
// and from then on it is the loop's, and does not wait.
type wire struct {
	net.Conn // nil: crypto/tls calls no other methods than those below

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
		n, err := conn.Receive(w.fd, b)
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
		n, err := conn.Send(w.fd, w.out[w.sent:], 0)
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
