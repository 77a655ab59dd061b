package exchange

import (
	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// A Stream carries exchanges between a client and the server. It is an HTTP/1 connection or an HTTP/2 stream. All
// methods are called on the event loop with an exchange that the Stream carries.
type Stream interface {
	// Read is called after routing. If Exchange.Choice is nil, the stream discards the body. Otherwise the stream calls
	// Exchange.Submit when the body is complete or, if Choice.Streams is true, immediately.
	Read(x *Exchange)
	// WantMore is called when the stream can read more from the client, because the source has used earlier input, or
	// because the body can be stored in a file.
	WantMore(x *Exchange)
	// Wait is called when x begins to wait, and again when x no longer waits. The stream then soon continues x: with
	// Exchange.Continue if x is Suspended, with Exchange.Begin if x is Delayed, and otherwise with Exchange.TakeTurn
	// when x is in turn.
	Wait(x *Exchange)
	// InTurn reports whether a part of x would be written immediately.
	InTurn(x *Exchange) bool
	// Write writes a part of x when the socket has room, and releases the part when it is sent. Write may end x. If
	// the part must wait for earlier responses, Write passes the part to Exchange.Hold.
	Write(x *Exchange, p *Part)
	// Replace is called when the response of x's source is abandoned. If y is not nil, the server itself responds, in
	// the exchange y, which may be x. The stream then discards the rest of the body of x. If closes is true, the stream
	// also closes the connection, because the rest of the input cannot be parsed. If y is nil, the server sends no
	// further response, and the stream must show the client that the response of x is incomplete.
	Replace(x, y *Exchange, closes bool)
	// SwitchProtocols returns a connection for a protocol other than HTTP. If r is not nil, r has the status 101, and
	// is the response to x. The new protocol must send head first, unless the stream has sent r itself and head is nil.
	// If r is nil, the response to x was sent earlier (see Takeover).
	SwitchProtocols(x *Exchange, r *http1.ResponseHead) (c *conn.Conn, head []byte)
}

// Sub is the Stream of an exchange that Exchange.Sub made.
type Sub struct {
	// the exchange that includes this response in its own; nil without one, or if its client has disconnected
	Parent *Exchange
}

func (s *Sub) InTurn(*Exchange) bool { return s.Parent == nil || s.Parent.InTurn() }

// Wait implements Stream. If x must wait for its turn, Wait makes Parent wait for its turn instead. Then the source of
// Parent calls x.TakeTurn.
func (s *Sub) Wait(x *Exchange) {
	if x.Delayed() {
		x.Begin()
	} else if s.Parent != nil {
		s.Parent.AwaitTurn(false)
	}
}

func (*Sub) Read(*Exchange)                                                      {}
func (*Sub) WantMore(*Exchange)                                                  {}
func (*Sub) Write(*Exchange, *Part)                                              {}
func (*Sub) Replace(_, _ *Exchange, _ bool)                                      {}
func (*Sub) SwitchProtocols(*Exchange, *http1.ResponseHead) (*conn.Conn, []byte) { return nil, nil }
