package exchange

import "time"

// Handler answers requests. The loop gives it requests, and gets parts of responses; neither side ever waits for the other.
//
// All methods but Release are called on the loop only.
type Handler interface {
	// Submit hands over a request. It returns false when too many wait: the
	// loop then answers 503.
	Submit(*Request) bool

	// Deliver hands over the data that has arrived for an exchange of which the loop has not
	// yet taken the Last part; the handler may have made it, and then drops the input.
	// It does not wait and cannot fail; excess data is not read
	// (InputWindow).
	Deliver(Input)

	// Release gives a part back: its bytes were sent or are not wanted any
	// more. Any goroutine may call it. Unreleased bytes are what the handler
	// uses for back-pressure; releasing the Last part ends the exchange.
	Release(*Part)

	// Cancel says that no client waits for this exchange any more. Work not yet started is dropped, iterators are closed. The Last part still
	// comes. If the reason is that the exchange has taken longer than its Source allows, took is how long; its client has been answered
	// then, as far as that goes, and Cancel may have been called before. Otherwise it is 0. It must not block.
	Cancel(t Ticket, took time.Duration)
}

// Occupancy is how long a request occupies the application.
type Occupancy uint8

const (
	// OccupiesNothing is for requests that do not wait for each other.
	OccupiesNothing Occupancy = iota

	// OccupiesUntilHead is until the answer begins. It is for handlers that run on the loop, which asks for the
	// rest of an answer in between.
	OccupiesUntilHead

	// OccupiesUntilEnd is until the whole answer was made, or a WebSocket has begun. It is for handlers that run on threads:
	// a thread that runs a generator can do nothing else.
	OccupiesUntilEnd
)

// EndsWith reports whether an exchange with this Occupancy no longer occupies the application after p.
func (o Occupancy) EndsWith(p *Part) bool {
	switch o {
	case OccupiesUntilHead:
		return !p.Interim
	case OccupiesUntilEnd:
		return p.Last
	}
	return false
}
