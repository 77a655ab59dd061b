package conn

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"html"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Transport changes the bytes between a connection and its socket: TLS. Its methods are called on the loop, and do not block.
type Transport interface {
	// Read reads what the client has sent: io.EOF after the last byte, unix.EAGAIN if nothing has come. If it does not fill b,
	// nothing more has come; another error that it returns with bytes comes again.
	Read(b []byte) (int, error)

	// Write takes as many bytes as it has room for, and may keep a few of them in memory. It returns unix.EAGAIN if it has
	// not taken all.
	Write(b []byte) (int, error)

	// Flush writes what is in memory. It returns unix.EAGAIN until all of it is written.
	Flush() error

	// CloseWrite says that nothing more is written, once. Flush has to follow.
	CloseWrite() error
}

// secured is the transport of a connection. It makes the Conn of others only a pointer larger.
type secured struct{ Transport }

// filePiece is how much of a file is read at once for a transport.
const filePiece = 32 << 10

// setTransport has the bytes of c go through t from now on. What has arrived already is t's: nothing may be pending.
func (c *Conn) setTransport(t Transport) {
	c.transport = &secured{t}
	c.untilEmpty = c.untilEmpty || c.Half || c.readable
	c.Half = false // t has to come to the end, too
	c.readable = true
	c.watch.Again()
}

// Transport returns what the bytes of c go through, nil if the socket has them as they are. Then c can be lent, and given to another process.
func (c *Conn) Transport() Transport {
	if c.transport == nil {
		return nil
	}
	return c.transport.Transport
}

// receive reads from c. It returns 0 and no error, or io.EOF, at the end.
func (c *Conn) receive(b []byte) (n int, err error) {
	if c.transport == nil || c.lingering && !c.virtual() {
		return Receive(int(c.fd), b)
	}
	n, err = c.transport.Read(b)
	if c.transfer == nil && !c.Gathers() && c.transport.Flush() == unix.EAGAIN { // it has answered something
		c.Queue(Output{}, true)
	}
	return n, err
}

// send writes bytes as far as there is room.
func (c *Conn) send(b []byte, flags uintptr) (int, error) {
	if c.transport == nil {
		return Send(c.Fd(), b, flags)
	}
	return c.transport.Write(b)
}

// encode writes pieces through the transport, as far as there is room, and up to an amount after which others have their turn.
func (c *Conn) encode(pieces [][]byte) (n int, err error) {
	for _, b := range pieces {
		k, err := c.transport.Write(b[:min(len(b), roomTurn-n)])
		if n += k; err != nil {
			return n, err
		}
	}
	return n, c.transport.Flush()
}

// WriteSome writes as much of up to MaxPieces pieces as there is room for now, without a transfer. It returns unix.EAGAIN if something is
// left, of the pieces or in memory of the transport: Queue with an empty Output waits for room, and Protocol.Room is called then. c must not
// have a transfer, and nothing may be gathered for it.
func (c *Conn) WriteSome(pieces [][]byte) (n int, err error) {
	total := 0
	for _, b := range pieces {
		total += len(b)
	}
	switch {
	case c.transport != nil:
		n, err = c.encode(pieces)
	case len(pieces) == 1:
		n, err = Send(int(c.fd), pieces[0], 0)
	default:
		n, err = c.set.iov.Send(c.Fd(), pieces...)
	}
	if c.set.Debug >= 2 {
		c.set.tracef("%s took %d of %d bytes", c, n, total)
	}
	if c.set.Debug >= 3 {
		c.set.tracef("%s gets %s", c, Excerpt(pieces[0]))
	}
	if err == nil && n < total {
		err = unix.EAGAIN
	}
	return n, err
}

// sendCached writes up to most bytes of a file that is in memory.
func (c *Conn) sendCached(it *Item, most int64) (n int, err error) {
	s := c.set
	if c.transport == nil && !s.copies {
		n, err = sendCached(c.Fd(), it.File, &it.Offset, most)
		if err == nil || clientGone(err) || err == unix.EAGAIN {
			return n, err
		}
		s.sendfileRefused(err)
	}
	if s.file == nil {
		s.file = make([]byte, filePiece)
	}
	if n, err = ReadFile(it.File, s.file[:min(most, filePiece)], it.Offset); n > 0 {
		if c.transport == nil {
			n, err = c.send(s.file[:n], it.flags())
		} else {
			n, err = c.transport.Write(s.file[:n])
		}
		it.Offset += int64(n)
	}
	return n, err
}

// clientGone reports whether an error of a socket is one of its connection.
func clientGone(err error) bool {
	switch err {
	case unix.EPIPE, unix.ECONNRESET, unix.ECONNABORTED, unix.ETIMEDOUT, unix.ENOTCONN, unix.EHOSTUNREACH,
		unix.ENETUNREACH, unix.ENETDOWN, unix.ENETRESET:
		return true
	}
	return false
}

// sendfileRefused notes that sendfile(2) failed, so the file is read and sent instead: a seccomp filter or an old kernel refuses
// it for all files, some file systems for theirs.
func (s *Set) sendfileRefused(err error) {
	s.copies = s.copies || err == unix.EPERM || err == unix.ENOSYS
	if !slices.Contains(s.refused, err) {
		s.refused = append(s.refused, err)
		s.Log(logfile.Warning, "sendfile: %v; reading files and sending them instead", err)
	}
}

// sayEnd has the transport tell the client that nothing more comes. It returns false if there is no room for that now: then Protocol.Room
// is called when there was, and c has to be finished again.
func (c *Conn) sayEnd() bool {
	if c.transport == nil || c.Reset {
		return true
	}
	if err := c.transport.CloseWrite(); err != nil {
		return true // it is broken
	}
	if c.transport.Flush() == unix.EAGAIN {
		c.Queue(Output{}, true)
		return false
	}
	return true
}

// TLSTransport encrypts a connection. It implements Transport.
type TLSTransport struct {
	tls     *tls.Conn
	client  *TLSState
	http2   bool
	resumed bool
	wire    wire
}

var _ Transport = (*TLSTransport)(nil)

// pieceSize is how many bytes are encrypted before they are written.
const pieceSize = 32 << 10

// NewTLSClient returns TLS over a connection of package net to an upstream. Its Conn is used before NewUpstream, on any goroutine.
func NewTLSClient(over net.Conn, config *tls.Config) *TLSTransport {
	t := &TLSTransport{wire: wire{Conn: over, over: over}}
	t.tls = tls.Client(&t.wire, config)
	return t
}

// Conn returns t as package net has connections.
func (t *TLSTransport) Conn() *tls.Conn { return t.tls }

// Client returns what handlers are told of the client.
func (t *TLSTransport) Client() *TLSState { return t.client }

// HTTP2 reports whether the client speaks HTTP/2 (ALPN, RFC 9113 §3.2).
func (t *TLSTransport) HTTP2() bool { return t.http2 }

// Read implements conn.Transport. Records of which all is used end it without asking crypto/tls for more, which costs a tenth of reading a
// small record.
func (t *TLSTransport) Read(b []byte) (n int, err error) {
	defer t.wire.keep()
	t.wire.records = 0
	for n < len(b) {
		t.wire.room = len(b) - n
		if t.wire.waiting() > pieceSize && t.Flush() == unix.EAGAIN { // what is read may have to be answered: KeyUpdate
			if n > 0 {
				return n, nil
			}
			return 0, unix.EAGAIN
		}
		k, err := t.tls.Read(b[n:])
		n += k
		switch {
		case err == nil && n < len(b) && t.wire.drained && len(t.wire.in) == 0:
			return n, nil
		case err == nil:
		case err != errNotYet:
			return n, err
		case t.wire.records >= turnRecords && t.wire.frames.between():
			t.wire.c.ReadAgain()
			if n > 0 {
				return n, nil
			}
			return 0, unix.EAGAIN
		case n > 0:
			return n, nil
		case t.wire.empty:
			return 0, unix.EAGAIN
		default: // a part of a record, behind which the client may have shut down its side: EAGAIN must come from the socket
			t.wire.drained = false
		}
	}
	return n, nil
}

// Write implements conn.Transport.
func (t *TLSTransport) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		if t.wire.waiting() >= pieceSize {
			if err := t.Flush(); err != nil {
				return n, err
			}
		}
		k, err := t.tls.Write(b[:min(len(b), pieceSize)])
		if n += k; err != nil {
			return n, err
		}
		b = b[k:]
	}
	return n, nil
}

// Flush implements conn.Transport.
func (t *TLSTransport) Flush() error {
	w := &t.wire
	if w.out == nil {
		return nil
	}
	for w.waiting() > 0 {
		n, err := Send(int(w.c.fd), w.out[w.sent:], 0)
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

// CloseWrite implements conn.Transport: it sends close_notify.
func (t *TLSTransport) CloseWrite() error { return t.tls.CloseWrite() }

// maxPlain bounds the head of a request of HTTP that is looked at.
const maxPlain = 8 << 10

// answerPlain answers b, which begins like a request of HTTP, when its head is whole or cannot become that.
func (h *Handshake) answerPlain(b []byte) {
	if !bytes.Contains(b, []byte("\r\n\r\n")) && len(b) < maxPlain {
		return
	}
	url, browser := "", false
	if r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b))); err == nil && r.Host != "" && r.RequestURI[0] == '/' {
		url, browser = "https://"+r.Host+r.RequestURI, strings.Contains(r.Header.Get("Accept"), "text/html")
	}
	h.count(plainHTTP)
	h.s.Report(logfile.Info, h.c.String(), "plain HTTP on an HTTPS port: answered 400")
	out := h.c.Use()
	*out = appendPlain(*out, url, browser)
	h.c.DropInput()
	h.stage = failed
	h.s.set.Flush()
	h.end()
}

// appendPlain appends a response that says where to find url with https.
func appendPlain(dst []byte, url string, browser bool) []byte {
	const text = "This is an HTTPS port."
	kind, body := "text/plain", text
	switch {
	case browser:
		kind = "text/html"
		link := html.EscapeString(url)
		body = string(http1.Page("400 Bad Request", "<p>"+text+` Use <a href="`+link+`">`+link+"</a>.</p>", ""))
	case url != "":
		body = text + " Use " + url
	}
	return fmt.Appendf(dst, "HTTP/1.1 400 Bad Request\r\nContent-Type: %s; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n", kind, len(body)+1, body)
}
