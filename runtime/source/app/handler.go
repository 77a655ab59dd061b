package app

import (
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
)

// SubrequestHandler is a Handler that asks the server itself for pages. Serves is called
// once, before Attach, with the function that makes this possible for a request.
type SubrequestHandler interface {
	Handler
	Serves(ask func(exchange.Origin) exchange.Subrequester)
}

// Receiver is a Handler that takes bodies in pieces (Mount.Streams of package sites) and messages
// of WebSockets (Mount.WebSocket).
type Receiver interface {
	Handler

	// Deliver hands over the data that has arrived for an exchange of which the loop has not
	// yet taken the Last part; the handler may have made it, and then drops the input.
	// It does not wait and cannot fail; excess data is not read
	// (exchange.InputWindow). Nothing runs before Flush. On the loop.
	Deliver(exchange.Input)
}

// Pacer is a Handler that does not start a request with exchange.Request.Pipeline while the answers to earlier requests of
// its connection are large: the request comes back as a part with exchange.OpDeferred.
type Pacer interface {
	Handler

	// Resume starts a request that has come back. Nothing runs before Flush. On the loop.
	Resume(exchange.Ticket)
}

// Attended is a Handler that may run on the loop, and there makes many pieces of a response one after the other while
// another thread sends them.
type Attended interface {
	Handler

	// Attend says whether finished parts are sent during Flush, too. A part that was finished before Attend(false)
	// is still to be sent then. Any goroutine.
	Attend(bool)

	// WantsAttendance reports whether a response would have gone on in Flush if it had been attended, since it was called
	// last. On the loop.
	WantsAttendance() bool

	// InTurn reports whether Flush has got to where Next may be called beside it, by the holder of Dispatcher.state. It is
	// safe for concurrent use.
	InTurn() bool
}

// Handler runs an application. The loop gives it requests, whole ones unless it is
// a Receiver, and takes parts of responses; neither side ever waits for the other.
//
// All methods but Release and Stalled are called on the loop only.
type Handler interface {
	// Attach is called once before the first Submit. w is for when parts wait
	// and the loop may be asleep.
	Attach(w *eventloop.Waker)

	// Submit hands over a request. It returns false when too many wait: the
	// loop then answers 503. Nothing runs before Flush.
	Submit(*exchange.Request) bool

	// Flush starts the submitted exchanges. An inline handler runs it here, on
	// the loop; the loop calls Next after every Flush and on every wake-up.
	Flush()

	// Next fills in the next part that is ready and returns true, or returns
	// false when there is none.
	Next(*exchange.Part) bool

	// Release gives a part back: its bytes were sent or are not wanted any
	// more. Any goroutine may call it. Unreleased bytes are what the handler
	// uses for back-pressure; releasing the Last part ends the exchange.
	Release(*exchange.Part)

	// Cancel says that no client waits for this exchange any more. Work not yet
	// started is dropped, iterators are closed. The Last part still comes.
	Cancel(exchange.Ticket)

	// Overdue says that an exchange has taken longer than its Source allows. Its
	// client has been answered, as far as that goes; Cancel was called before.
	// It must not block.
	Overdue(exchange.Ticket, time.Duration)

	// Stalled is called on every tick during which the loop is in Flush, on another goroutine, if
	// something has a timeout. It returns the exchange that runs inline, on the loop, and how long it has been
	// seen there by earlier calls; 0 if nothing does. It must not block.
	Stalled() (exchange.Ticket, time.Duration)

	// Signalled says that a signal for the application arrived.
	Signalled()
}
