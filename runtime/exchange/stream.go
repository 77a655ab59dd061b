package exchange

import (
	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// Stream carries exchanges between a client and the server: it is a connection of HTTP/1, or a stream of HTTP/2. All
// methods are called on the event loop, with an exchange that the Stream carries.
type Stream interface {
	// Read is called for x, which is undecided, when Exchange.Choice is known. If Choice is nil, the stream drops the
	// body. Otherwise it calls Exchange.Submit when the body is complete or, if Choice streams, immediately. Later
	// calls report that the source has used input, or that a file is free for the body: the client may send more.
	Read(x *Exchange)

	// Wait is called when x starts to wait, and again when it no longer waits. The stream continues x soon: by
	// Exchange.Continue if x is Suspended, by Exchange.Begin if it is Delayed, otherwise by Exchange.TakeTurn when x is
	// in turn.
	Wait(x *Exchange)

	// InTurn reports whether a part of x would be written immediately.
	InTurn(x *Exchange) bool

	// Write writes a part of x when there is room, and releases it when it is sent; x may then have ended. It passes a
	// part that is not in turn to Exchange.Hold.
	Write(x *Exchange, p *Part)

	// Replace is called when the server itself answers with y, which may be x. The stream then drops the rest of the
	// body of x. closes reports that the rest of the input cannot be parsed. If y is nil, the client gets no answer:
	// the stream must show the client of x that the response is incomplete.
	Replace(x, y *Exchange, closes bool)

	// SwitchProtocols gives the connection or stream of x to another protocol. It returns a connection for that
	// protocol, and the head that must be sent on it first, or nil if the stream has sent the head. r is the response
	// with the status 101. If r is nil, another response was sent before, and x continues (Upgrade).
	SwitchProtocols(x *Exchange, r *http1.Response) (c *conn.Conn, head []byte)
}

// Sub is the Stream of an exchange of Exchange.Sub. The Sink of that exchange takes all parts and the reply.
type Sub struct {
	// the exchange whose response contains the answer; nil without one, or if its client has disconnected
	Parent *Exchange
}

func (s *Sub) InTurn(*Exchange) bool { return s.Parent == nil || s.Parent.InTurn() }

// Wait implements Stream. The source of Parent is started when Parent is in turn, and calls TakeTurn of x.
func (s *Sub) Wait(x *Exchange) {
	if x.Delayed() {
		x.Begin()
	} else if s.Parent != nil {
		s.Parent.AwaitTurn(false)
	}
}

// The other methods of Stream have nothing to do.

func (*Sub) Read(*Exchange)                                                  {}
func (*Sub) Write(*Exchange, *Part)                                          {}
func (*Sub) Replace(_, _ *Exchange, _ bool)                                  {}
func (*Sub) SwitchProtocols(*Exchange, *http1.Response) (*conn.Conn, []byte) { return nil, nil }
