package http2

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

const (
	// if a connection has at most this number of streams, its responses are not delayed
	fewStreams = 4

	// smallHead is the maximum size of a head that Config.MaxUnread does not limit. Because of HPACK compression (RFC
	// 7541), a few received bytes can become a large head.
	smallHead = 4 << 10

	// maxUnsent limits the bytes that wait for a client in all but the largest response of a connection. Above this
	// limit, further responses are delayed.
	maxUnsent = 16 << 20
)

// A stream is an HTTP/2 stream with one exchange, from the head of its request to the end of its response.
type stream struct {
	c  *Conn
	id uint32
	x  *exchange.Exchange

	incoming
	outgoing
	// transport of the virtual connection that the stream carries, or nil
	bytes *byteStream

	// the request is an extended CONNECT (RFC 8441), so a 2xx response would accept the WebSocket
	extended bool

	// number of bytes that Server.heads counts for the request's head; 0 if the head is small
	head     int64
	priority priority
	queued   bool
	woken    bool
	// error code of the RST_STREAM after the response, if the request is incomplete
	ends http2.ErrCode
}

func (c *Conn) open(b *headerBlock) {
	s := c.s
	c.used += turnStream
	head := int64(b.Held())
	if head <= smallHead {
		head = 0
	}
	if len(c.streams) >= s.cfg.MaxStreams || int(c.client.Active) >= s.cfg.MaxStreams ||
		head > 0 && s.heads.Free(c.inflow.client) < head {
		c.writeReset(b.id, http2.ErrCodeRefusedStream)
		c.charge(costReset)
		return
	}
	st := s.stream()
	st.c, st.id, st.priority = c, b.id, defaultPriority
	if b.Priority != "" {
		st.priority.parse(b.Priority)
	}
	if len(c.queue.expected) > 0 {
		st.priority = c.queue.priorityOf(b.id, st.priority)
	}
	st.credit, st.window, st.target = c.initial, initialWindow, initialWindow
	st.missing, st.ended, st.extended = -1, b.end, b.Extended
	if head > 0 {
		st.countHead(head)
	}
	c.streams[b.id] = st
	c.conn.Stamp = s.Set.Now
	if c.client.Expected != 0 {
		c.s.Arrived(c.client)
	}
	s.head = b.AppendHead(s.head[:0], http1.HTTP2)
	switch limits := &s.Config.Limits; {
	case b.TooLarge:
		st.refuseLarge("headers too large", "limit-request-head", limits.Head, b.Size)
		return
	case b.Longest > limits.FieldLine:
		st.refuseLarge("header field too long", "limit-request-field-size", limits.FieldLine, b.Longest)
		return
	case b.Fault != "":
		st.refuseMalformed(b.Fault)
		return
	case st.extended && b.end:
		st.refuseMalformed("the end of a stream that is to carry another protocol")
		return
	case st.extended && !strings.EqualFold(b.Protocol, "websocket"): // RFC 9220 §3
		st.refuse(exchange.Reply{Status: 501, Text: "unknown :protocol", Close: true})
		return
	}
	r := s.Request()
	req := r.Parsed
	err := req.ParseWhole(s.head, &s.Config.Limits)
	if err == nil && req.Raw {
		s.head = req.AppendEncoded(nil, s.head)
		err = req.ParseWhole(s.head, &s.Config.Limits)
	}
	if err != nil {
		st.refuse(exchange.Malformed(&s.Config.Limits, err.(*http1.StatusError), s.head))
		return
	}
	switch {
	// a request without content must not announce content (RFC 9113 §8.1.1), and data after an extended CONNECT is not
	// content (RFC 9110 §9.3.6)
	case (b.end || st.extended) && req.Length > 0:
		st.refuseMalformed("Content-Length without a body")
		return
	case b.end, st.extended:
	case req.Body == http1.Sized:
		st.missing = req.Length
	default:
		// all other code treats a body of unknown length as a chunked body
		req.Body, req.Expect100 = http1.Chunked, b.Expects
	}
	r.Head = s.head
	st.x = s.New(c.client, st)
	st.x.Decide()
}

func (st *stream) countHead(n int64) {
	if n != st.head {
		st.c.s.heads.Add(st.c.inflow.client, n-st.head)
		st.head = n
	}
}

const maxSpare = 64

// stream returns a new stream. It reuses the memory of an ended stream that no list or goroutine refers to.
func (s *Server) stream() *stream {
	for n := len(s.ended); n > 0; n = len(s.ended) {
		st := s.ended[n-1]
		s.ended[n-1] = nil
		s.ended = s.ended[:n-1]
		if st.x == nil && st.bytes == nil && !st.woken && !st.loading {
			*st = stream{}
			return st
		}
	}
	return new(stream)
}

func (st *stream) refuseLarge(text, setting string, max, size int) {
	limit := exchange.Limit{Setting: "--" + setting, Max: int64(max), Size: int64(size)}
	st.refuse(exchange.Reply{Status: 431, Text: text, Close: true, Limit: limit})
}

func (st *stream) refuseMalformed(text string) {
	st.ends = http2.ErrCodeProtocol
	st.refuse(exchange.Reply{Status: 400, Text: text, Close: true})
}

func (st *stream) refuse(r exchange.Reply) {
	c := st.c
	x := c.s.New(c.client, st)
	st.x = x
	st.body.Drop()
	x.Malformed(http1.HTTP2, c.s.head)
	x.Sink.Reply(r)
	c.charge(costReset)
}

func (c *Conn) forget(st *stream) {
	c.queue.dequeue(st)
	if len(c.delayed) > 0 {
		c.delayed = slices.DeleteFunc(c.delayed, func(id uint32) bool { return id == st.id })
	}
	if st.held > 0 {
		st.holds(0)
	}
	if st.head > 0 {
		st.countHead(0)
	}
	if c.streams[st.id] == st {
		delete(c.streams, st.id)
		if len(c.s.ended) < maxSpare {
			c.s.ended = append(c.s.ended, st)
		}
	}
	if c.gather == st {
		c.gather, c.s.gathered = nil, c.s.gathered[:0]
	}
	if len(c.streams) == 0 {
		c.conn.Stamp = c.s.Set.Now
	}
}

// abandon ends the exchange of st without a response. The caller must also remove the stream from its connection, or
// close the connection.
func (st *stream) abandon() {
	st.c.queue.dequeue(st)
	st.countHead(0)
	st.drop()
	if st.bytes != nil {
		st.bytes.abandon()
	}
	x := st.x
	st.x = nil
	if x == nil {
		return
	}
	if ended := st.giveUp(x); !ended {
		x.Abandon()
	}
}

func (c *Conn) resetStream(st *stream, code http2.ErrCode) {
	c.forget(st)
	c.writeReset(st.id, code)
	st.abandon()
}

// protocolError resets a stream because its client has violated the protocol. The stream may already have ended.
// protocolError takes as many points from the budget as a reset by the client, because both cause the same work
// (CVE-2025-8671).
func (c *Conn) protocolError(id uint32, code http2.ErrCode) {
	if st := c.streams[id]; st != nil {
		c.resetStream(st, code)
		c.charge(costReset)
		return
	}
	c.writeReset(id, code)
	c.charge(costEmpty)
}

func (c *Conn) writeReset(id uint32, code http2.ErrCode) {
	if c.dead {
		return
	}
	if len(c.reset) >= c.s.cfg.MaxStreams {
		c.reset = c.reset[:copy(c.reset, c.reset[1:])]
	}
	c.reset = append(c.reset, id)
	c.frames().WriteRSTStream(id, code)
}

func (st *stream) submit(x *exchange.Exchange) {
	r := x.Req
	r.Pipeline = 0
	if len(st.c.streams) > fewStreams && !x.Choice.Unbounded {
		r.Pipeline = st.c.conn.Fd()
	}
	x.Submit()
}

func (st *stream) Wait(x *exchange.Exchange) {
	c := st.c
	switch {
	case x.Delayed():
		c.delayed = append(c.delayed, st.id)
		c.beginDelayed()
	case !x.Waits() && !st.woken:
		st.woken = true
		c.s.Set.Soon(c.conn, st.goOn)
	}
}

func (st *stream) goOn() {
	st.woken = false
	if x := st.x; x != nil && !x.Waits() {
		x.Continue()
		st.c.settle()
	}
}

// beginDelayed begins delayed responses in order, one at a time, as long as at most maxUnsent bytes wait for the
// client. The bytes of the largest response do not count.
func (c *Conn) beginDelayed() {
	for len(c.delayed) > 0 && !c.closed {
		if st := c.streams[c.resumed]; st != nil && st.x != nil && !st.x.Out.Begun {
			return
		}
		var sum, most int64
		for _, st := range c.streams {
			if st.x != nil {
				n := st.x.Held.Unsent()
				sum, most = sum+n, max(most, n)
			}
		}
		if sum-most > maxUnsent {
			return
		}
		st := c.streams[c.delayed[0]]
		c.delayed = c.delayed[1:]
		if st != nil && st.x != nil {
			c.resumed = st.id
			st.x.Begin()
		}
	}
}

func (st *stream) Replace(_, y *exchange.Exchange, _ bool) {
	if y == nil {
		st.c.resetStream(st, http2.ErrCodeEnhanceYourCalm)
		st.c.settle()
		return
	}
	st.drop()
	st.x = y
}

// lingerTimeout is how long a stream stays open after its response while its request is incomplete. If the server reset
// the stream at once, clients would report an error and lose the response. During this time the window of the stream is
// not opened.
const lingerTimeout = 2 * int64(time.Second)

func (st *stream) lingers(now int64) bool {
	return st.x == nil && st.bytes == nil && now-st.stamp > lingerTimeout
}
