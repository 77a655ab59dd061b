package exchange

import (
	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// A Stream carries exchanges between a client and the server: an HTTP/1 connection or a stream of HTTP/2. All methods
// are called on the event loop with an exchange that the Stream carries.
type Stream interface {
	// Read is first called when routing has set Exchange.Choice. If Choice is nil, the stream discards the body.
	// Otherwise it calls Exchange.Submit when the body is complete, or immediately if Choice streams. Later calls
	// report that the source has used input or that a file for the body is free, so that the stream may read more from
	// the client.
	Read(x *Exchange)

	// Wait is called when x begins to wait, and again when x no longer waits. The stream continues x soon: by
	// Exchange.Continue if x is Suspended, by Exchange.Begin if it is Delayed, otherwise by Exchange.TakeTurn when x is
	// in turn.
	Wait(x *Exchange)

	// InTurn reports whether a part of x would be written immediately.
	InTurn(x *Exchange) bool

	// Write writes a part of x when there is room, and releases the part when it is sent; the exchange x may have ended
	// when Write returns. Parts that must wait for earlier responses are passed to Exchange.Hold.
	Write(x *Exchange, p *Part)

	// Replace is called when the server itself answers instead of the source of x: in the exchange y, which may be x.
	// The stream then discards the rest of the body of x. closes reports that the rest of the input cannot be parsed.
	// If y is nil, the server sends no answer, and the stream must show the client that the response is incomplete.
	Replace(x, y *Exchange, closes bool)

	// SwitchProtocols gives the connection or stream of x to another protocol. SwitchProtocols returns a connection for
	// the protocol, and the response head that must be sent on it first; the result head is nil if the stream has
	// already sent the head. r is the response with the status 101. If r is nil, another response was sent before, and
	// x continues (Upgrade).
	SwitchProtocols(x *Exchange, r *http1.Response) (c *conn.Conn, head []byte)
}

// Sub is the Stream of an exchange that Exchange.Sub made. The Sink of the exchange gets all parts and the reply.
type Sub struct {
	// the exchange whose response includes this one; nil if there is none or its client has disconnected
	Parent *Exchange
}

func (s *Sub) InTurn(*Exchange) bool { return s.Parent == nil || s.Parent.InTurn() }

// Wait implements Stream. If x waits for its turn, Parent waits for its own turn. The source of Parent then calls
// x.TakeTurn.
func (s *Sub) Wait(x *Exchange) {
	if x.Delayed() {
		x.Begin()
	} else if s.Parent != nil {
		s.Parent.AwaitTurn(false)
	}
}

// The following methods of Stream do nothing, because the Sink receives the response.

func (*Sub) Read(*Exchange)                                                  {}
func (*Sub) Write(*Exchange, *Part)                                          {}
func (*Sub) Replace(_, _ *Exchange, _ bool)                                  {}
func (*Sub) SwitchProtocols(*Exchange, *http1.Response) (*conn.Conn, []byte) { return nil, nil }
