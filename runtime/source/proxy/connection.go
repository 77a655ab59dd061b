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
	"fapws/runtime/http1"
	"fapws/runtime/otel"
)

// A connection carries one request at a time and belongs to one goroutine at a time. If a request has a body, a second
// goroutine writes the request.
type connection struct {
	net.Conn
	under   net.Conn
	secure  *conn.TLSTransport // nil without TLS
	number  uint64             // sequence number among the connections to the upstream
	opened  time.Time
	overdue *time.Timer
	// maximum duration of each write, of the wait for the response head after the request was written, and of each
	// pause in the response body
	timeout time.Duration
	in      *bufio.Reader // reads from Conn; nil while the connection is idle
	reused  bool
	last    bool
	unbind  func() bool // stops the end of the current request's context from closing the connection
	// gets the result of write; nil when the result was received
	written chan error
	over    atomic.Bool // the whole response was read, so writing must stop
	// interrupts reading the body of the current request; nil unless the body is streamed
	interrupt func()
	call      *otel.Call // span of the current request, or nil
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxHead) }}

const maxInterim = 100

var errStale = errors.New("the upstream closed the connection before it answered")

// ask sends a request and returns the head of the final response. The body of the response reads from the connection,
// and the end of the request's context closes the connection. If w is not nil, ask forwards 1xx responses to w (RFC
// 9110 §15.2), except 101, which is final, and 100, because the server itself tells the client to send the body.
func (c *connection) ask(request *http.Request, w *backend.Response) (*http.Response, error) {
	c.unbind = context.AfterFunc(request.Context(), func() { c.under.Close() })
	c.in = readers.Get().(*bufio.Reader)
	c.in.Reset(c.Conn)
	c.written = make(chan error, 1)
	c.over.Store(false)
	c.interrupt = nil
	if body, ok := request.Body.(*streamedBody); ok {
		c.interrupt = body.r.Interrupt
	}
	c.awaitInput()
	if request.Body == nil {
		c.write(request)
	} else {
		// Write on a separate goroutine, because the upstream may respond before it has read the body.
		go c.write(request)
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
		// Neither field is allowed here (RFC 9110 §8.6, RFC 9112 §6.1), and the upstream may send a body after it.
		framed := response.Header["Content-Length"] != nil || response.TransferEncoding != nil
		head, ok := responseHead(response)
		if !ok || framed {
			return nil, fmt.Errorf("the response %d has a malformed field or a field that frames a body", head.Status)
		}
		if w != nil && head.Status != http.StatusContinue {
			if err := w.Interim(head); err != nil {
				return nil, err
			}
		}
		if response.StatusCode != http.StatusEarlyHints { // early hints do not restart the timeout
			c.awaitInput()
		}
	}
	return nil, fmt.Errorf("more than %d responses of 1xx", maxInterim)
}

func (c *connection) awaitInput() { c.SetReadDeadline(time.Now().Add(c.timeout)) }

// short is how long the server delays a head, or a piece of a body with a known length, because more data usually
// follows at once and is then sent in the same write.
const short = 2 * time.Millisecond

func (c *connection) pauses() bool {
	if c.in.Buffered() > 0 {
		return false
	}
	c.SetReadDeadline(time.Now().Add(short))
	_, err := c.in.Peek(1)
	return isTimeout(err)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// write writes the request and sends the error to c.written. If there is a response, the error is ignored, because an
// upstream may reject a body without reading it.
func (c *connection) write(request *http.Request) {
	size := 4 << 10
	if request.Body != nil {
		size = bufferSize
	}
	out := bufio.NewWriterSize(deadlineWriter{c}, size)
	to := io.Writer(out)
	if body, ok := request.Body.(*streamedBody); ok {
		body.out, to = out, plainWriter{out}
	}
	err := request.Write(to)
	if err == nil {
		err = out.Flush()
	}
	c.awaitInput()
	c.written <- err
}

// A deadlineWriter postpones two deadlines before each write: the write deadline, and the read deadline, because the
// upstream need not respond before it has the whole request.
type deadlineWriter struct{ c *connection }

func (w deadlineWriter) Write(b []byte) (int, error) {
	w.c.SetDeadline(time.Now().Add(w.c.timeout))
	if w.c.over.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	return w.c.Conn.Write(b)
}

// stopWriting stops writing the request without waiting for the upstream, and returns nil if the request was written
// completely.
func (c *connection) stopWriting() error {
	// Set c.over before the deadline, because the writing goroutine first sets its own deadline and then checks c.over.
	c.over.Store(true)
	c.SetWriteDeadline(time.Unix(1, 0))
	return c.awaitWriter()
}

// awaitWriter waits until the writing goroutine no longer uses the request, and returns the error of write.
func (c *connection) awaitWriter() error {
	if c.interrupt != nil {
		c.interrupt()
	}
	err := <-c.written
	c.written = nil
	return err
}

// close closes the connection, and returns when the writing goroutine no longer uses the request.
func (c *connection) close() {
	c.under.Close()
	if c.unbind != nil {
		c.unbind()
	}
	if c.written != nil {
		_ = c.awaitWriter()
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

// settle reports whether the connection can be reused. surplus contains bytes that follow the response, for example a
// body after HEAD, 204 or 304; on a reused connection, these bytes would become the response to the next request.
func (c *connection) settle() (retry bool, surplus []byte) {
	surplus, _ = c.in.Peek(min(c.in.Buffered(), maxSurplus))
	surplus = bytes.Clone(surplus)
	c.putReader()
	if c.stopWriting() != nil { // the upstream has not read the whole request
		return false, surplus
	}
	c.reused = true
	return len(surplus) == 0 && !c.last && c.unbind() && c.quiet(), surplus
}

const maxSurplus = 80 // in bytes

// delimited reports whether the end of a response is certain. It is never certain after HEAD, because an upstream may
// by mistake send a body some time after the head. If a 204 announces a body, a body probably follows, although RFC
// 9110 §8.6 forbids it.
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

func (c *connection) quiet() bool {
	if !backend.Quiet(c.under) {
		return false
	}
	if c.secure == nil {
		return true
	}
	// The TLS layer may have buffered data. With an expired deadline, a read returns only buffered data.
	c.SetReadDeadline(time.Unix(1, 0))
	n, err := c.Read(make([]byte, 1))
	c.SetReadDeadline(time.Time{})
	return n == 0 && isTimeout(err)
}

// Some upstreams need a process or thread for each connection, so an idle connection may block the requests of other
// clients and workers. Therefore, without Options.Idle, a connection is kept only while requests follow each other
// closely.
const (
	maxIdle  = 64
	keepIdle = 100 * time.Millisecond // maximum idle time between two requests
	keepAge  = time.Second            // maximum age of the connection
	// maximum time from opening a connection to its first response (see watch)
	patience = 20 * time.Millisecond
)

type waiting struct {
	opened   atomic.Uint64
	answered atomic.Uint64
	// sequence number of the latest connection that got no response within patience
	overdue atomic.Uint64
}

func raise(n *atomic.Uint64, v uint64) {
	for old := n.Load(); old < v && !n.CompareAndSwap(old, v); old = n.Load() {
	}
}

// watch is called when c is opened. If no response arrives on c within patience, the idle connections may occupy all
// processes of the upstream, and watch closes them.
func (peer *upstream) watch(c *connection) {
	c.opened, c.number = time.Now(), peer.waiting.opened.Add(1)
	c.overdue = time.AfterFunc(patience, func() {
		raise(&peer.waiting.overdue, c.number)
		peer.idle.Clear()
	})
}

// keeps reports whether c may be kept idle. The result is false while a newer connection waits, probably because the
// upstream has not accepted it. An upstream accepts connections in order, so a response on a connection shows that all
// older connections were accepted.
func (peer *upstream) keeps(c *connection) bool {
	w := &peer.waiting
	return w.overdue.Load() <= w.answered.Load() && (peer.opt.Idle > 0 || time.Since(c.opened) < keepAge)
}

// roundTrip sends a request, and returns the head of the response and the connection that delivers the body. The caller
// owns this connection. roundTrip retries the request only if the upstream closed a reused connection before
// responding, and if the method is safe (RFC 9110 §9.2.2). If no connection could be opened, the error is a notSent. A
// WebSocket handshake always uses a new connection and is the last request on it, because only the upstream's response
// determines whether the next bytes are a request. roundTrip adds the number of its attempts to *sent.
func (peer *upstream) roundTrip(sent *int, w *backend.Response, r *backend.Request) (*http.Response, *connection, error) {
	request := peer.request(r)
	var c *connection
	if r.Upgrade {
		w = nil
		// use no idle connection for a body that is still arriving, because it could not be sent again
	} else if !r.More {
		c, _ = peer.idle.Take()
	}
	for {
		call := begin(peer, request, r, *sent)
		*sent++
		if c == nil {
			var err error
			if c, err = peer.dial(request.Context()); err != nil {
				call.End(0, "connect", err)
				return nil, nil, notSent{err}
			}
		}
		c.call = call
		response, err := c.ask(request, w)
		c.overdue.Stop()
		if err == nil {
			raise(&peer.waiting.answered, c.number)
			return response, c, nil
		}
		c.close()
		call.End(0, kindOf(r, err), err)
		if err != errStale || !r.Parsed.Safe || request.Context().Err() != nil {
			return nil, nil, err
		}
		if request.Body != nil {
			request.Body, _ = request.GetBody()
		}
		c = nil
	}
}

// begin begins the span of a request to the upstream, and sends its ID in Traceparent, so that spans of the upstream
// become its children. sent is the number of earlier attempts to send r.
func begin(peer *upstream, request *http.Request, r *backend.Request, sent int) *otel.Call {
	if peer.opt.Spans == nil {
		return nil
	}
	call := peer.opt.Spans.Call(http1.OwnIdentity(r.Head, r.Parsed, r.Own))
	if call == nil {
		return nil
	}
	request.Header["Traceparent"] = []string{call.Traceparent()}
	scheme := "http"
	if peer.target.tls != nil {
		scheme = "https"
	}
	call.Method, call.URL, call.Resent = request.Method, scheme+"://"+peer.target.host+request.URL.RequestURI(), sent
	if peer.target.network == "unix" {
		call.Address = peer.target.address
	} else {
		call.Address, call.Port, _ = net.SplitHostPort(peer.target.address)
	}
	return call
}

// kindOf returns the attribute error.type of a request without a response.
func kindOf(r *backend.Request, err error) string {
	switch {
	case r.Context.Err() != nil:
		return "client_disconnected"
	case isTimeout(err):
		return "timeout"
	}
	return "_OTHER"
}
