package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/conn"
)

// connection is an HTTP/1.1 connection to the upstream. It carries one request at a time and belongs
// to one goroutine at a time; a request with a body is written by another.
type connection struct {
	net.Conn
	under   net.Conn           // Conn without TLS
	secure  *conn.TLSTransport // over under; nil: without TLS
	number  uint64             // counts the connections of its Proxy
	opened  time.Time
	overdue *time.Timer   // see Proxy.watch
	timeout time.Duration // for each write, for the head of a response once the request is written, and for each pause in the body
	in      *bufio.Reader // reads from Conn; nil: the connection is idle
	reused  bool          // it has carried a request before the current one
	last    bool          // it cannot carry another one after the current one
	unbind  func() bool   // ends that the context of the current request closes it
	written chan error    // receives the result of writing the current request; nil after that result
	over    atomic.Bool   // the whole response was read, so writing stops
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxHead) }}

// maxInterim is the maximum number of 1xx responses before the final one.
const maxInterim = 100

// errStale is the error of ask where a reused connection ended without a byte of a response.
var errStale = errors.New("the upstream closed the connection before it answered")

// ask sends a request and returns the head of its final response; the body reads from the
// connection, which the end of the request's context closes. w, if not nil, gets each 1xx response (RFC 9110 §15.2) except 101, which
// is final, and 100, which is for this server: it has the whole body of the request already.
func (c *connection) ask(request *http.Request, w *backend.Response) (*http.Response, error) {
	c.unbind = context.AfterFunc(request.Context(), func() { c.under.Close() })
	c.in = readers.Get().(*bufio.Reader)
	c.in.Reset(c.Conn)
	c.written = make(chan error, 1)
	c.over.Store(false)
	c.awaitInput()
	if request.Body == nil {
		c.write(request)
	} else {
		go c.write(request) // the upstream may answer before it has read the body
	}
	for n := range maxInterim {
		response, err := readHead(c.in, request)
		switch {
		case err != nil && c.reused && n == 0 && c.in.Buffered() == 0 && !isTimeout(err):
			return nil, errStale
		case err == bufio.ErrBufferFull:
			return nil, fmt.Errorf("the head of the response exceeds %d bytes", maxHead)
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return nil, errors.New("the upstream closed the connection without a response")
		case err != nil:
			return nil, err
		case response.StatusCode < 100 || response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols:
			c.last = request.Close || response.Close || !delimited(request, response)
			return response, nil
		}
		if w != nil && response.StatusCode != http.StatusContinue {
			if head, ok := responseHead(response); ok {
				if err := w.Interim(head); err != nil {
					return nil, err
				}
			}
		}
		c.awaitInput()
	}
	return nil, fmt.Errorf("more than %d responses of 1xx", maxInterim)
}

// awaitInput gives the upstream the timeout, from now on, to send something.
func (c *connection) awaitInput() { c.SetReadDeadline(time.Now().Add(c.timeout)) }

// short is for how long a head, and a piece of a body whose length is known, are kept back: more often comes at once.
const short = 2 * time.Millisecond

// pauses reports whether nothing comes from the upstream for the time short.
func (c *connection) pauses() bool {
	if c.in.Buffered() > 0 {
		return false
	}
	c.SetReadDeadline(time.Now().Add(short))
	_, err := c.in.Peek(1)
	return isTimeout(err)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// write sends a request. Its error does not matter if there is a response: an upstream may refuse a
// body without reading it.
func (c *connection) write(request *http.Request) {
	size := 4 << 10
	if request.Body != nil {
		size = bufferSize
	}
	out := bufio.NewWriterSize(deadlineWriter{c}, size)
	err := request.Write(out)
	if err == nil {
		err = out.Flush()
	}
	c.awaitInput()
	c.written <- err
}

// deadlineWriter gives each write to a connection its own deadline, until stopWriting. The upstream need not send anything meanwhile.
type deadlineWriter struct{ c *connection }

func (w deadlineWriter) Write(b []byte) (int, error) {
	w.c.SetDeadline(time.Now().Add(w.c.timeout))
	if w.c.over.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	return w.c.Conn.Write(b)
}

// stopWriting ends the writing of the request and returns its result, which is nil if all of it was
// written before. It does not wait for the upstream.
func (c *connection) stopWriting() error {
	c.over.Store(true) // before: the goroutine that writes sets deadlines, too
	c.SetWriteDeadline(time.Unix(1, 0))
	err := <-c.written
	c.written = nil
	return err
}

// close closes the connection and returns when nothing uses its request any more.
func (c *connection) close() {
	c.under.Close()
	if c.unbind != nil {
		c.unbind()
	}
	if c.written != nil {
		<-c.written
		c.written = nil
	}
	c.putReader()
}

func (c *connection) putReader() {
	if c.in != nil {
		c.in.Reset(nil)
		readers.Put(c.in)
		c.in = nil
	}
}

// settle ends an exchange whose response has been read to its end and reports whether the connection may carry
// another request. surplus is the bytes that have come behind the response and belong to no request: an upstream that
// sends a body behind its answer to HEAD, 204 or 304, or a longer one than announced, would answer the next request
// with it.
func (c *connection) settle() (again bool, surplus []byte) {
	surplus, _ = c.in.Peek(min(c.in.Buffered(), maxSurplus))
	surplus = bytes.Clone(surplus)
	c.putReader()
	if c.stopWriting() != nil { // the upstream has not read all of the request
		return false, surplus
	}
	c.reused = true
	return len(surplus) == 0 && !c.last && c.unbind() && c.quiet(), surplus
}

// maxSurplus bounds the bytes that settle returns, which are for a line in the log.
const maxSurplus = 80

// delimited reports whether it is certain where a response ended. After HEAD it never is: the body
// of an upstream that sends one by mistake may arrive later than the head. A 204 that announces a body
// probably has one (RFC 9110 §8.6).
func delimited(request *http.Request, response *http.Response) bool {
	if request.Method == http.MethodHead {
		return false
	}
	if response.StatusCode == http.StatusNoContent || response.StatusCode == http.StatusNotModified {
		length := response.Header["Content-Length"]
		announced := len(length) > 0 && length[0] != "0" && response.StatusCode == http.StatusNoContent
		return !announced && len(response.TransferEncoding) == 0
	}
	return true
}

// quiet reports whether an idle connection is open and has nothing to read.
func (c *connection) quiet() bool {
	if !backend.Quiet(c.under) {
		return false
	}
	if c.secure == nil {
		return true
	}
	// Received data may already be in the buffers of TLS, which can be read after an expired deadline
	// but not filled.
	c.SetReadDeadline(time.Unix(1, 0))
	n, err := c.Read(make([]byte, 1))
	c.SetReadDeadline(time.Time{})
	return n == 0 && isTimeout(err)
}

// A kept connection occupies a process or thread of an upstream that has one for each connection, and may keep the requests
// of other clients and workers waiting. So without Options.Idle it is kept only while requests follow each other closely.
const (
	maxIdle  = 64
	keepIdle = 100 * time.Millisecond // between two requests
	keepAge  = time.Second            // since the connection was opened
	patience = 20 * time.Millisecond  // for the response to the first request of a connection: see watch
)

// waiting notices new connections that the upstream may not accept because others are kept.
type waiting struct {
	opened   atomic.Uint64 // number of connections
	answered atomic.Uint64 // highest number of a connection that has had a response
	overdue  atomic.Uint64 // highest number of a connection that had none within patience
}

// raise sets n to v if v is greater.
func raise(n *atomic.Uint64, v uint64) {
	for old := n.Load(); old < v && !n.CompareAndSwap(old, v); old = n.Load() {
	}
}

// watch notes that c was opened. If no response has begun after patience, the kept connections are closed.
func (p *Proxy) watch(c *connection) {
	c.opened, c.number = time.Now(), p.waiting.opened.Add(1)
	c.overdue = time.AfterFunc(patience, func() {
		raise(&p.waiting.overdue, c.number)
		p.idle.Clear()
	})
}

// keeps reports whether c may be kept after its response. It may not while a newer connection waits: an upstream accepts
// connections in their order, so a connection does not wait to be accepted if a later one was answered.
func (p *Proxy) keeps(c *connection) bool {
	return p.waiting.overdue.Load() <= p.waiting.answered.Load() && (p.opt.Idle > 0 || time.Since(c.opened) < keepAge)
}

// roundTrip sends a request for r and returns the head of its response, and the connection that the body is
// read from, which belongs to the caller then. It sends a request a second time only if the upstream closed a kept
// connection before it answered, and the method is safe (RFC 9110 §9.2.2). One for a WebSocket has a new connection,
// which is never one of those that are kept for others, before or after: the answer of the upstream decides whether
// the next bytes are a request, and only the upstream knows how it takes them.
func (p *Proxy) roundTrip(w *backend.Response, request *http.Request, r *backend.Request) (*http.Response, *connection, error) {
	var c *connection
	if r.WebSocket {
		w = nil
	} else {
		c, _ = p.idle.Take()
	}
	for {
		if c == nil {
			var err error
			if c, err = p.dial(request.Context()); err != nil {
				return nil, nil, err
			}
		}
		response, err := c.ask(request, w)
		c.overdue.Stop()
		if err == nil {
			raise(&p.waiting.answered, c.number)
			return response, c, nil
		}
		c.close()
		if err != errStale || !r.Parsed.Safe || request.Context().Err() != nil {
			return nil, nil, err
		}
		if request.Body != nil {
			request.Body, _ = request.GetBody()
		}
		c = nil
	}
}

// Idle returns the number of connections that wait for a request, for the metrics of plan, which finds it by shape.
func (p *Proxy) Idle() int { return p.idle.Len() }
