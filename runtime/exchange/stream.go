package exchange

import (
	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// A Stream carries exchanges between a client and the server. It is an HTTP/1 connection or an HTTP/2 stream. All
// methods are called on the event loop with an exchange that the Stream carries.
type Stream interface {
	// Read is first called after routing. If Exchange.Choice is then nil, the stream discards the body.
	// Otherwise the stream calls Exchange.Submit when the body is complete or, if Choice.Streams is true, immediately.
	// Later calls report that the source has used input or that a file for the body is free, so that the stream can
	// read more from the client.
	Read(x *Exchange)
	// Wait is called when x begins to wait, and again when x no longer waits. The stream then soon continues x: with
	// Exchange.Continue if x is Suspended, with Exchange.Begin if x is Delayed, and otherwise with Exchange.TakeTurn
	// when x is in turn.
	Wait(x *Exchange)
	// InTurn reports whether a part of x would be written immediately.
	InTurn(x *Exchange) bool
	// Write writes a part of x when there is room, and releases the part when it is sent. x may have ended when Write
	// returns. If the part must wait for earlier responses, Write passes it to Exchange.Hold.
	Write(x *Exchange, p *Part)
	// Replace is called when the server sends its own response instead of the response of x's source. The exchange y,
	// which may be x itself, carries the server's response. The stream then discards the rest of the body of x. The
	// parameter closes says that the rest of the input cannot be parsed. If y is nil, the server sends no response, and
	// the stream must show the client that the response of x is incomplete.
	Replace(x, y *Exchange, closes bool)
	// SwitchProtocols returns a connection for a protocol other than HTTP, and the response head that the protocol must
	// send first, or nil if the stream has already sent the head. The response r has the status 101. If r is nil, the
	// response was already sent, and the new protocol continues x (Upgrade).
	SwitchProtocols(x *Exchange, r *http1.Response) (c *conn.Conn, head []byte)
}

// Sub is the Stream of an exchange that Exchange.Sub made.
type Sub struct {
	// the exchange whose response includes this response; nil if none exists or if its client has disconnected
	Parent *Exchange
}

func (s *Sub) InTurn(*Exchange) bool { return s.Parent == nil || s.Parent.InTurn() }

// Wait implements Stream. If x must wait for its turn, Parent waits for its own turn, and the source of Parent then
// calls x.TakeTurn.
func (s *Sub) Wait(x *Exchange) {
	if x.Delayed() {
		x.Begin()
	} else if s.Parent != nil {
		s.Parent.AwaitTurn(false)
	}
}

func (*Sub) Read(*Exchange)                                                  {}
func (*Sub) Write(*Exchange, *Part)                                          {}
func (*Sub) Replace(_, _ *Exchange, _ bool)                                  {}
func (*Sub) SwitchProtocols(*Exchange, *http1.Response) (*conn.Conn, []byte) { return nil, nil }
