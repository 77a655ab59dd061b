package http

import (
	"errors"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"

	"golang.org/x/sys/unix"
)

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
		s.Set.Log(loglevel.Error, "cannot store a request body in %s: %v", s.Config.SpoolDir, err)
	}
	return r
}
