package sites

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Stream carries exchanges between a client and the server: a connection of HTTP/1, or a stream of HTTP/2. All methods are called on
// the event loop, with an exchange that it carries.
type Stream interface {
	// Admit has x, which is being decided about, answered by a when its body has arrived, or at once if a streams: by Exchange.Submit.
	Admit(x *Exchange, a Choice)

	// SkipBody is called for x, which is being decided about, if nothing takes its body. GiveUpBody is called when nothing takes the rest
	// of its body any more, if there is one.
	SkipBody(x *Exchange)
	GiveUpBody(x *Exchange)

	// Submitting is called before a gets the request of x.
	Submitting(x *Exchange, a Choice)

	// Suspended is called when x, which is being decided about, has to wait. Wake has Exchange.GoOn called for it, soon.
	Suspended(x *Exchange)
	Wake(x *Exchange)

	// StopInput has the client send no more input of x. Credited is called when the source of x has dealt with n bytes of input; more reports whether
	// it should get more.
	StopInput(x *Exchange)
	Credited(x *Exchange, n int64, more bool)

	// InTurn reports whether a part of x would be written now. If so, Transmit writes it, as far as there is room, and releases it when
	// that is done; x may have ended then. Advance is called afterwards: another part, or another exchange, may have its turn.
	InTurn(x *Exchange) bool
	Transmit(x *Exchange, p *exchange.Part)
	Advance()

	// SwitchProtocols takes x from the stream: behind r, a response with the status 101 that is not sent yet, another protocol has what
	// carried it. It returns the connection for that, and the head that has to be sent on it first: nil if it has been sent as it should.
	SwitchProtocols(x *Exchange, r *http1.Response) (c *conn.Conn, head []byte)

	// TakeConn returns the connection that another protocol has behind the response to x, which does not end: see exchange.Upgrade.
	TakeConn(x *Exchange) *conn.Conn

	// TakesInterim reports whether the client can be sent responses of 1xx.
	TakesInterim(x *Exchange) bool

	// WaitsForClient reports whether x cannot go on before the client has read or sent something. Parts that x holds count anyway.
	WaitsForClient(x *Exchange) bool

	// Deferred is called when the source of x has put off its response, until Exchange.ResumeDeferred.
	Deferred(x *Exchange)

	// Cut ends x, whose response has begun or waits for another one, so that its client sees that something is missing.
	Cut(x *Exchange)

	// Replaced is called when the server itself answers x. closes says that nothing more can be understood of what the client sends.
	Replaced(x *Exchange, closes bool)

	// Substituted is called when y has taken the place of x.
	Substituted(x, y *Exchange)

	// BesideDone is called when the source of x has done its work beside the loop. decided says that x was being decided about before.
	BesideDone(x *Exchange, decided bool)
}

// Choice is a source, and its properties that count before it starts.
type Choice struct {
	Source    exchange.Source
	Streams   bool // it takes requests whose body has not arrived: exchange.Request.More
	Asks      bool // and asks for the body with its first credit: 100 Continue waits for that
	Unbounded bool // it may answer with any size before the loop knows
}
