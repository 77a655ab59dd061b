package app

import "fapws/runtime/exchange"

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

// endsWith reports whether an exchange with this Occupancy no longer occupies the application after p.
func (o Occupancy) endsWith(p *exchange.Part) bool {
	switch o {
	case OccupiesUntilHead:
		return !p.Interim
	case OccupiesUntilEnd:
		return p.Last || p.First && p.Head.WebSocket
	}
	return false
}

// frees is for a call that no longer occupies the application.
func (c *call) frees() {
	c.occupies = OccupiesNothing
	c.d.host.Occupied(-1)
}
