package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/http"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/live"
	"fapws/runtime/websocket"
)

const maxInterim = 100

// head parses the head of a response at the front of b, and returns the number of used bytes. The result is 0 if the head
// is incomplete or the connection was closed.
func (c *connection) head(b []byte, lender *conn.Set) (used int) {
	q, p := c.q, c.upstream.proxy
	a := &p.answer
	n, err := a.Parse(b, int(c.heard))
	if c.heard = int32(len(b)); err == http1.ErrNeedMore {
		return 0
	}
	if err != nil {
		c.lose(err)
		return 0
	}
	switch {
	case a.Status == http.StatusSwitchingProtocols && q.Upgrade:
		c.upgrade(a, b[:n], b[n:])
		return len(b)
	case a.Status >= 100 && a.Status < 200 && a.Status != http.StatusSwitchingProtocols:
		if q.interims++; q.interims > maxInterim {
			err = fmt.Errorf("more than %d responses of 1xx", maxInterim)
		} else {
			err = c.interim(a, b)
		}
	case a.Status < 200:
		err = fmt.Errorf("status %d", a.Status)
	default:
		if err = a.Delimit(b); err == nil {
			c.begin(a, b[:n], b[n:], lender)
			return len(b)
		}
	}
	if err != nil {
		c.lose(err)
		return 0
	}
	c.heard = 0
	return n
}

// interim forwards a 1xx response, except 100, because the server itself tells the client to send the body.
func (c *connection) interim(a *http1.UpstreamHead, b []byte) error {
	// Neither field is allowed here (RFC 9110 §8.6, RFC 9112 §6.1), and the upstream may send a body after the head.
	if framed(a, b) {
		return fmt.Errorf("the response %d has a malformed field or a field that frames a body", a.Status)
	}
	q := c.q
	if a.Status != http.StatusEarlyHints { // early hints do not restart the timeout
		c.Stamp = c.upstream.proxy.conns.Now
	}
	if a.Status == http.StatusContinue || q.Upgrade || !q.takesInterim {
		return nil
	}
	fields, _ := c.upstream.appendFields(nil, a, b)
	if fields, send := q.hints.Select(a.Status, fields); send {
		q.put(&exchange.Part{Interim: true, Head: exchange.Head{Status: a.Status,
			Reason: bytes.Clone(a.Reason.In(b)), Fields: fields}}, nil)
	}
	return nil
}

func framed(a *http1.UpstreamHead, b []byte) bool {
	_, length := http1.First(b, a.Fields, "content-length")
	_, coding := http1.First(b, a.Fields, "transfer-encoding")
	return length || coding
}

// begin forwards the head of a final response, and the beginning of its body in rest.
func (c *connection) begin(a *http1.UpstreamHead, head, rest []byte, lender *conn.Set) {
	q, u := c.q, c.upstream
	p := u.proxy
	bodiless := q.isHead || a.Status == http.StatusNoContent || a.Status == http.StatusNotModified
	c.last = c.last || !a.KeepAlive || !delimited(q, a)
	h := exchange.Head{Status: a.Status, Length: -1}
	c.body = http1.BodyReader{IsChunked: a.Body == http1.Chunked, Missing: math.MaxInt64}
	c.trailers = c.trailers[:0]
	switch {
	case a.Body == http1.Sized:
		h.Length, c.body.Missing = a.Length, a.Length
	case c.body.IsChunked && q.takesTrailers:
		c.body.Chunks.Trailers = &c.trailers
	}
	if bodiless {
		c.body = http1.BodyReader{}
	} else if a.Body == http1.UntilClose {
		c.last = true
	}
	p.fields, h.HasDate = u.appendFields(p.fields[:0], a, head)
	if _, h.HasServer = http1.First(head, a.Fields, "server"); p.cookie != "" && u != q.previous {
		p.fields = append(append(append(p.fields, "Set-Cookie: "...), q.stick(u)...), "\r\n"...)
	}
	if q.takesTrailers && !bodiless {
		p.fields = appendAnnounced(p.fields, a, head)
	}
	c.enter(answering)
	q.responds(c, a.Status)
	h.Fields, h.Reason = p.fields, a.Reason.In(head)
	c.receive(rest, lender, &h)
}

// delimited reports whether the end of a response is certain. It is never certain after HEAD, because an upstream may by
// mistake send a body some time after the head. If a 204 announces a body, a body probably follows, although RFC 9110
// §8.6 forbids it.
func delimited(q *request, a *http1.UpstreamHead) bool {
	switch {
	case q.isHead:
		return false
	case a.Status == http.StatusNoContent:
		return a.Body != http1.Chunked && a.Length == 0
	case a.Status == http.StatusNotModified:
		return a.Body != http1.Chunked
	}
	return true
}

// receive forwards bytes of the body and, if it is not nil, the head of the response, whose slices are valid until
// receive returns.
func (c *connection) receive(b []byte, lender *conn.Set, head *exchange.Head) {
	piece, rest, whole, err := c.body.Decode(b)
	if err != nil {
		if head != nil {
			c.q.forward(head, nil, nil, false)
		}
		c.lose(fmt.Errorf("malformed body: %w", err))
		return
	}
	q := c.q
	if !whole {
		if head != nil || len(piece) > 0 {
			q.forward(head, piece, lender, false)
		}
		return
	}
	if len(rest) > 0 {
		c.last = true
		c.upstream.complain(q.client(), "closed the connection: unexpected data after a response: %.80q", rest)
	}
	trailers := c.takeTrailers()
	// with trailers or an unknown length, the head comes first, so that the response to the client is chunked
	if head != nil && head.Length < 0 && c.body.IsChunked || trailers != nil && len(piece) > 0 {
		q.forward(head, piece, lender, false)
		head, piece = nil, nil
	}
	c.end(func() { q.finish(head, piece, lender, trailers) })
	c.settle()
}

// end separates c from its request, whose last part the function finish delivers.
func (c *connection) end(finish func()) {
	c.q.detach()
	c.q = nil
	finish()
}

// settle keeps the connection for another request, if no bytes follow the response. On a reused connection, these bytes,
// for example a body after HEAD, 204 or 304, would become the response to the next request.
func (c *connection) settle() {
	c.reused = true
	if !c.last && c.written && !c.Writing() && !c.IsClosed() && c.upstream.keeps(c) {
		c.enter(idle)
		c.upstream.keep(c)
	} else {
		c.lose(errors.New("the response is complete"))
	}
}

// takeTrailers returns the trailers of a response whose body has arrived, without those that must not be forwarded.
func (c *connection) takeTrailers() *exchange.Trailers {
	if len(c.trailers) == 0 {
		return nil
	}
	var fields exchange.Trailers
	n := 0
	for line := range bytes.Lines(c.trailers) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		if !http1.ValidTrailer(string(name)) {
			c.upstream.complain(c.q.client(), "dropped the trailer field %.80q", name)
			continue
		}
		n++
		fields = http1.HeaderField{Name: string(name), Value: string(bytes.TrimSpace(value))}.AppendTo(fields)
	}
	switch {
	case len(fields) == 0:
		return nil
	case n > http1.MaxTrailers || len(fields) > http1.MaxTrailerBytes:
		c.upstream.complain(c.q.client(), "dropped %d trailer fields of %d bytes, more than %d or %d bytes", n, len(fields),
			http1.MaxTrailers, http1.MaxTrailerBytes)
		return nil
	}
	return &fields
}

// upgrade gives the connection to a tunnel, after the upstream has responded with status 101. The client first gets the
// bytes in ahead.
func (c *connection) upgrade(a *http1.UpstreamHead, head, ahead []byte) {
	q, u := c.q, c.upstream
	if fault := switches(a, head, q.key); fault != "" {
		c.lose(fmt.Errorf("its answer to a request for a WebSocket is 101 %s", fault))
		return
	}
	h := exchange.Head{Status: a.Status, Length: -1, Reason: bytes.Clone(a.Reason.In(head))}
	h.Fields, h.HasDate = u.appendFields([]byte("Upgrade: websocket\r\nConnection: Upgrade\r\n"), a, head)
	_, h.HasServer = http1.First(head, a.Fields, "server")
	client := q.client()
	h.Then = &live.Tunnel{Upstream: &c.Conn, Ahead: bytes.Clone(ahead), Idle: max(0, u.opt.TunnelTimeout),
		Ended: func(err error) { u.complain(client, "WebSocket closed: %v", err) }}
	c.enter(upgraded)
	c.Pause(conn.PauseForHandover)
	q.responds(c, a.Status)
	c.end(func() { q.put(&exchange.Part{First: true, End: exchange.Complete, Head: h}, nil) })
}

// switches returns why a 101 is invalid, or "" if it is valid (RFC 6455 §4.1, RFC 9110 §7.8). key is the client's
// Sec-WebSocket-Key.
func switches(a *http1.UpstreamHead, head []byte, key []byte) string {
	accept := websocket.AcceptKey(key)
	upgrades, accepts := 0, 0
	for range http1.Values(head, a.Fields, "upgrade") {
		upgrades++
	}
	for value := range http1.Values(head, a.Fields, "sec-websocket-accept") {
		if accepts++; string(value) != string(accept[:]) {
			accepts = 2
		}
	}
	switch {
	case upgrades != 1 || !http1.EqualFold(a.UpgradeTo.In(head), "websocket"):
		return "without Upgrade: websocket"
	case !a.Upgrade:
		return "without Connection: Upgrade"
	case accepts != 1:
		return "without a valid Sec-WebSocket-Accept"
	}
	return ""
}
