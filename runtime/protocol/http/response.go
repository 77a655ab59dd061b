package http

import (
	"errors"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Response counts the sent bytes of a response, and knows how the rest is framed. Its zero value is one that has not begun.
type Response struct {
	Status int   // 0 before it has begun
	Sent   int64 // bytes of the body
	Framed int64 // bytes that are not of the body
	left   int64 // bytes still promised when Sized

	Framing http1.Framing // of the body
	Begun   bool          // the head was sent
	cut     bool          // it was longer than promised
}

// Begin notes that a head of n bytes, which http1.Template has made of h, is sent.
func (r *Response) Begin(h *http1.Response, n int) {
	r.Begun, r.Status, r.Framing, r.left = true, h.Status, h.Body, h.Length
	r.Framed += int64(n)
}

// Take returns how much may be sent of a piece that is bytes in memory and then count bytes of a file: nothing where a response
// has no body, and no more than its Content-Length has promised. cut reports that this is less than the piece, the first time.
func (r *Response) Take(data []byte, count int64) (body []byte, file int64, cut bool) {
	switch r.Framing {
	case http1.NoBody:
		return nil, 0, false
	case http1.Sized:
		if int64(len(data))+count > r.left {
			cut, r.cut = !r.cut, true
			data = data[:min(int64(len(data)), r.left)]
			count = r.left - int64(len(data))
		}
		r.left -= int64(len(data)) + count
	}
	r.Sent += int64(len(data)) + count
	return data, count, cut
}

// Short returns how many bytes of the promised Content-Length have not been sent.
func (r *Response) Short() int64 {
	if r.Framing != http1.Sized {
		return 0
	}
	return r.left
}

// NeedsReset reports whether a client cannot tell the end of a response that has broken off from the end of its body, unless the
// connection is reset.
func (r *Response) NeedsReset() bool { return r.Framing == http1.UntilClose }

// BodyTooBig is what a client gets whose body is larger than Exchange.MaxBody.
var BodyTooBig = exchange.Reply{Status: 413, Text: "input body too big", Close: true}

// Refuse answers x, which is being decided about, without a source.
func (x *Exchange) Refuse(r exchange.Reply) {
	if !r.Close {
		x.Carrier.SkipBody(x)
	}
	x.Sink.Reply(r)
}

// Replace makes x, which has not begun, a response of the server itself, which Send has to follow. Its source has nothing to do with it
// any more. closes says that nothing more can be understood of what the client sends. Exchanges without a client cannot be answered.
func (x *Exchange) Replace(closes bool) {
	c := x.Carrier
	c.GiveUpBody(x)
	x.phase, x.Req, x.Source, x.Fields = answering, nil, exchange.Memory{}, nil
	c.Replaced(x, closes)
}

// Substitute puts a new exchange, which the server itself is to answer, in the place of x.
func (x *Exchange) Substitute() *Exchange {
	s, c := x.s, x.Carrier
	c.GiveUpBody(x)
	y := s.New(c)
	y.Next = x.Next
	y.Version, y.IsHead, y.KeepAlive, y.Safe = x.Version, x.IsHead, x.KeepAlive, x.Safe
	y.Received = x.Received
	y.Bulky = x.Bulky
	c.Substituted(x, y)
	x.deferred = false
	s.Host.Substituted(x, y)
	x.Carrier, x.Next = nil, nil
	return y
}

// Refused returns what a client gets whose body could not be taken because of err.
func (s *Server) Refused(err error) exchange.Reply {
	r := exchange.Reply{Status: 500, Close: true}
	var malformed *http1.StatusError
	switch {
	case errors.Is(err, ErrTooLarge):
		r = BodyTooBig
	case errors.As(err, &malformed):
		r.Status, r.Text = malformed.Status, malformed.Text
	default:
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
			r.Status = 507
		}
		s.Set.Log(logfile.Error, "cannot store a request body in %s: %v", s.Config.SpoolDir, err)
	}
	return r
}
