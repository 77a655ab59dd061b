package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/http1"
	"fapws/runtime/system"
)

// A state is the phase of a connection to an upstream. The package comment draws the steps.
type state uint8

const (
	opening   state = iota // the connection, or its TLS, is not established yet
	asking                 // the request is being written, and the head of the response is awaited
	answering              // the body of the response arrives
	idle                   // the connection waits for another request
	upgraded               // a tunnel has got the connection, or will get it soon
	closed
)

func (s state) String() string {
	return [...]string{"opening", "asking", "answering", "idle", "upgraded", "closed"}[s]
}

// steps contains, as bits, the states that may follow each state.
var steps = [...]uint8{
	opening:   1<<asking | 1<<closed,
	asking:    1<<answering | 1<<upgraded | 1<<closed,
	answering: 1<<idle | 1<<closed,
	idle:      1<<asking | 1<<closed,
	upgraded:  1 << closed,
	closed:    1 << closed,
}

// enter changes the state of c, or logs a fault of the server and closes c.
func (c *connection) enter(s state) {
	if steps[c.state]>>s&1 == 0 {
		c.upstream.proxy.conns.LogBug(fmt.Sprintf("a connection to an upstream that is %v must not become %v", c.state, s))
		c.lose(errors.New("internal error"))
		return
	}
	c.state = s
}

// A connection to an upstream carries one request at a time. It is the Protocol of its Conn and, while bytes of a request
// wait for the upstream, the Owner of this output. All methods are called on the loop.
type connection struct {
	conn.Conn
	upstream *upstream
	q        *request // nil while no request uses the connection
	// cancels opening the connection on a goroutine; nil if there is none
	cancel context.CancelFunc
	body   http1.BodyReader

	number  uint64 // sequence number among the connections to the upstream
	opened  time.Time
	asked   time.Time // when the latest request was sent
	since   time.Time // when the connection became idle
	overdue *time.Timer
	failure error // why the connection closes, or why nothing can be written to it
	spool   int   // descriptor of the output, which is closed after it; -1 if there is none
	heard   int32 // examined bytes of the head of the response
	state   state
	reused  bool
	last    bool // no request may follow the current one
	// the upstream has got all bytes of the request
	written  bool
	trailers []byte
}

var (
	errStale  = errors.New("the upstream closed the connection before it answered")
	errSilent = errors.New("the upstream closed the connection without a response")
)

// notSent is the error if no connection could be opened, so that the upstream got nothing of the request.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }

// silence is how long an upstream has sent no response, as an error for which isTimeout is true.
type silence time.Duration

func (s silence) Error() string {
	return fmt.Sprintf("no response within %v (--timeout)", time.Duration(s))
}

func (silence) Unwrap() error { return os.ErrDeadlineExceeded }

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// open opens a connection to the upstream for q. The loop itself connects to an address; a goroutine looks a name up
// and performs a TLS handshake.
func (u *upstream) open(q *request) {
	c := &connection{upstream: u, q: q, spool: -1}
	q.c = c
	u.watch(c)
	p := u.proxy
	switch {
	case u.opt.Dial != nil:
		c.await()
		u.opt.Dial(func(fd int, err error) {
			c.establish(err, func() error { return p.conns.OpenOutward(&c.Conn, fd, new(net.UnixAddr), c) },
				func() { unix.Close(fd) })
		})
	case u.target.ip != nil:
		c.connect()
	default:
		ctx := c.await()
		go func() {
			under, secure, err := u.dial(ctx)
			c.establish(err, func() error { return p.secure.Adopt(&c.Conn, under, secure, c) }, func() { under.Close() })
		}()
	}
}

// connectAgain is how long the loop waits if the queue of a unix socket is full, which the kernel does not report later.
const connectAgain = 5 * time.Millisecond

func (c *connection) connect() {
	u, set := c.upstream, c.upstream.proxy.conns
	err := set.Connect(&c.Conn, u.target.ip, c)
	switch {
	case err == nil:
		c.ask()
	case err == unix.EAGAIN && time.Since(c.opened) < u.opt.Connect:
		time.AfterFunc(connectAgain, func() {
			set.Events.Post(func() {
				if c.state == opening {
					c.connect()
				}
			})
		})
	default:
		set.Soon(nil, func() { c.lose(cannotConnect(err)) })
	}
}

// await limits the time until the connection is established elsewhere.
func (c *connection) await() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), c.upstream.opt.Connect)
	c.cancel = cancel
	return ctx
}

// establish is called on any goroutine with the result of opening the connection. adopt makes the loop serve its socket,
// and drop closes the socket, because nobody needs it any more.
func (c *connection) establish(err error, adopt func() error, drop func()) {
	lives := c.upstream.proxy.conns.Events.Post(func() {
		switch {
		case c.state == closed && err == nil:
			drop()
		case c.state == closed:
		default:
			c.cancel()
			if c.cancel = nil; err == nil {
				err = adopt()
			}
			if err != nil {
				c.lose(notSent{err})
			} else {
				c.ask()
			}
		}
	})
	if !lives && err == nil {
		drop()
	}
}

// dial opens a connection on a goroutine. secure is nil without TLS.
func (u *upstream) dial(ctx context.Context) (under net.Conn, secure *conn.TLSTransport, err error) {
	var dialer net.Dialer
	under, err = dialer.DialContext(ctx, u.target.network, u.target.address)
	if err != nil {
		return nil, nil, cannotConnect(err)
	}
	if u.target.tls == nil {
		return under, nil, nil
	}
	secure = conn.NewTLSClient(under, u.target.tls)
	if err := secure.Conn().HandshakeContext(ctx); err != nil {
		under.Close()
		return nil, nil, handshakeError(err)
	}
	return under, secure, nil
}

func cannotConnect(err error) error {
	return notSent{fmt.Errorf("cannot connect: %w", system.Cause(err))}
}

func handshakeError(err error) error {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("certificate verification failed: %w", certificate.Err)
	case errors.As(err, &record):
		return fmt.Errorf("the server does not speak TLS: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the TLS handshake timed out: %w", err)
	}
	return fmt.Errorf("the TLS handshake failed: %w", err)
}

// ask writes the request of c.q. If its body is still arriving, its further pieces follow with write.
func (c *connection) ask() {
	q, p := c.q, c.upstream.proxy
	c.heard, c.last, c.written, c.failure, c.asked = 0, q.Upgrade, false, nil, q.since
	body, chunked := q.Body, false
	if p.opt.mounts() {
		if p.head, chunked = q.appendMounted(p.head[:0]); chunked && !q.More && q.Spool < 0 {
			body = q.mountedBody()
		}
	} else {
		p.head = q.appendHead(p.head[:0], c.upstream)
	}
	if c.state == idle {
		c.enter(asking)
	}
	c.Stamp = p.conns.Now
	c.Schedule()
	if q.Spool < 0 {
		c.write(p.head, body)
		return
	}
	fd, err := unix.FcntlInt(uintptr(q.Spool), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		c.lose(err)
		return
	}
	items := []conn.Item{{Data: append([]byte(nil), p.head...), More: true},
		{File: conn.File{FD: fd, Count: q.Size}}}
	if chunked {
		items[0].Data = http1.AppendChunkHeader(items[0].Data, q.Size)
		items = append(items, conn.Item{Data: slices.Concat(crlf, lastChunk)})
	}
	c.spool = fd
	left, full, err := c.WriteItems(items)
	if err != nil || !full {
		c.wrote(err)
	}
	switch {
	case err == nil && len(left) > 0:
		c.Queue(conn.Output{Items: left, Owner: c}, full)
	default:
		c.closeSpool()
		c.sentAll()
	}
}

func (c *connection) closeSpool() {
	if c.spool >= 0 {
		unix.Close(c.spool)
		c.spool = -1
	}
}

// write writes pieces of the request. Bytes for which the socket has no room are copied, and written later.
func (c *connection) write(pieces ...[]byte) {
	if c.failure != nil {
		return
	}
	n, err := c.WriteSome(pieces)
	if err != unix.EAGAIN {
		if c.wrote(err); err == nil {
			c.sentAll()
		}
		return
	}
	var rest []byte
	for _, piece := range pieces {
		k := min(n, len(piece))
		rest = append(rest, piece[k:]...)
		n -= k
	}
	c.Queue(conn.Output{Items: []conn.Item{{Data: rest}}, Owner: c}, true)
}

// wrote is called with the result of a first write. After an error, the upstream has perhaps responded before it closed
// the connection, so the response is read first.
func (c *connection) wrote(err error) {
	switch {
	case err != nil:
		c.failure = err
		c.ReadAgain()
	case c.state == opening:
		c.enter(asking)
	}
}

// Sent implements conn.OutputOwner.
func (c *connection) Sent(err error) {
	c.closeSpool()
	switch {
	case c.state == closed:
	case err == nil:
		c.wrote(nil)
	default: // the connection closes when Sent has returned
		c.failure = err
		if c.state == opening {
			c.failure = cannotConnect(err)
			return
		}
		for b := make([]byte, 32<<10); c.q != nil && !c.Paused(); {
			n := c.ReadMore(b)
			if n == 0 {
				break
			}
			c.input(b[:n], nil)
		}
	}
}

// sentAll is called when the upstream has got all bytes that were written. A body that is arriving is written when the
// connection is established, because until then it may be sent to another upstream.
func (c *connection) sentAll() {
	q := c.q
	if q == nil || c.failure != nil {
		return
	}
	c.Stamp = c.upstream.proxy.conns.Now
	if waiting := q.arrived; len(waiting) > 0 {
		q.arrived = nil
		c.write(waiting)
		return
	}
	c.written = q.whole
	q.credit()
}

func (c *connection) Drained(ended bool) {
	if ended {
		c.sentAll()
	}
}

// Input implements conn.Protocol.
func (c *connection) Input(b []byte) { c.input(b, c.upstream.proxy.conns) }

// input handles received bytes. If they are in the buffer of lender, a part of the response may borrow it.
func (c *connection) input(b []byte, lender *conn.Set) {
	if len(c.Pending()) > 0 {
		c.Keep(b)
		if n := c.take(c.Pending(), nil); !c.IsClosed() {
			c.Consume(n)
		}
		return
	}
	if n := c.take(b, lender); n < len(b) && !c.IsClosed() {
		c.Keep(b[n:])
	}
}

// take handles the bytes b and returns the number of used bytes. The rest is the beginning of a head.
func (c *connection) take(b []byte, lender *conn.Set) (n int) {
	for n < len(b) && (c.state == opening || c.state == asking) {
		if c.state == opening {
			c.enter(asking)
		}
		k := c.head(b[n:], lender)
		if n += k; k == 0 {
			return n
		}
	}
	switch {
	case c.state == answering && n < len(b):
		c.Stamp = c.upstream.proxy.conns.Now
		c.receive(b[n:], lender, nil)
	case c.state == idle && n < len(b):
		c.Close("it sends what nobody has asked for")
	}
	return len(b)
}

// EOF is called when the upstream has shut down its side.
func (c *connection) EOF() (stays bool) {
	if c.state == answering && c.endsByClose() {
		q := c.q
		c.end(func() { q.finish(nil, nil, nil, nil) })
	}
	return false
}

// endsByClose reports whether the end of the connection ends the body that is arriving.
func (c *connection) endsByClose() bool { return !c.body.IsChunked && c.body.Missing > math.MaxInt64/2 }

func (c *connection) Broke(err error) {
	if c.failure == nil {
		c.failure = system.Cause(err)
	}
}

// Closed implements conn.Protocol.
func (c *connection) Closed() {
	u, q, was, err := c.upstream, c.q, c.state, c.failure
	c.enter(closed)
	c.q = nil
	u.forget(c)
	if c.Writing() { // the upstream may still read what waits, but it is of no use
		u.proxy.conns.Soon(nil, c.Abort)
	}
	if c.cancel != nil {
		c.cancel()
	}
	c.unwatch()
	if q == nil {
		return
	}
	switch {
	case was == opening && !errors.As(err, new(notSent)):
		if err == nil {
			err = io.EOF
		}
		err = cannotConnect(err)
	case was == answering && err == nil:
		err = io.ErrUnexpectedEOF
	case was == asking && c.reused && c.heard == 0 && q.interims == 0 && !isTimeout(err):
		err = errStale
	case was == asking && (err == nil || err == unix.EPIPE):
		err = errSilent
	}
	q.lost(c, err)
}

// lose closes the connection because of err.
func (c *connection) lose(err error) {
	c.failure = err
	if c.Remote == nil || c.IsClosed() {
		c.Closed() // there is no socket
		return
	}
	c.Close(err.Error())
	c.Abort()
}

// Drain is called when the server stops accepting connections.
func (c *connection) Drain(bool) {
	if c.state == idle {
		c.Close("the server is stopping")
	}
}

const tick = eventloop.Tick

// Due implements conn.Protocol.
func (c *connection) Due() (next int64) {
	now, due := c.upstream.proxy.conns.Now, c.deadline()
	switch {
	case due > now:
		return due
	case c.HasUnreadInput():
		return now + tick
	case c.state == answering:
		c.lose(fmt.Errorf("no data for %v (proxy-read-timeout)", c.upstream.opt.Pause))
	case c.state == opening:
		c.lose(cannotConnect(os.ErrDeadlineExceeded))
	default:
		c.lose(silence(c.upstream.opt.Timeout))
	}
	return math.MaxInt64
}

func (c *connection) deadline() int64 {
	limit := time.Duration(0)
	switch o := c.upstream.opt; {
	case c.q == nil || c.Paused():
	case c.state == opening:
		limit = o.Connect
	case c.state == asking:
		limit = o.Timeout
	case c.state == answering:
		limit = o.Pause
	}
	if limit <= 0 {
		return math.MaxInt64
	}
	return max(c.Stamp, c.Progress()) + tick + int64(limit)
}
