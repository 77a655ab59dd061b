package exchange

import (
	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// Stream carries exchanges between a client and the server: a connection of HTTP/1, or a stream of HTTP/2. All methods are called on
// the event loop, with an exchange that it carries.
type Stream interface {
	// Read is called for x, which is being decided about, when it is known what takes its body: Exchange.Choice, which gets the request by
	// Exchange.Submit when the body has arrived, or at once if it streams; if there is none, the body is thrown away. Later calls say
	// that the source has dealt with input, or that there is a file for the body: the client may send more.
	Read(x *Exchange)

	// Wait is called when x has to wait, and again when it does not wait any more: the stream has it go on, soon, by Exchange.GoOn or, if
	// x is Delayed, by Exchange.Begin.
	Wait(x *Exchange)

	// InTurn reports whether a part of x would be written now.
	InTurn(x *Exchange) bool

	// Write writes a part of x as far as there is room, and releases it when that is done; x may have ended then. A part whose turn has not
	// come is kept by Exchange.Hold.
	Write(x *Exchange, p *Part)

	// Replace is called when the server itself answers, with y, which may be x: nothing takes the rest of the body of x. closes says that
	// nothing more can be understood of what the client sends. y is nil if nothing answers: the client of x, whose response has begun or
	// waits for another one, has to see that something is missing.
	Replace(x, y *Exchange, closes bool)

	// SwitchProtocols takes what carries x for another protocol. It returns the connection for that, and the head that has to be sent on it
	// first: nil if it has been sent as it should. r is the response with the status 101; nil: another response went before, and x goes on
	// (Upgrade).
	SwitchProtocols(x *Exchange, r *http1.Response) (c *conn.Conn, head []byte)
}
