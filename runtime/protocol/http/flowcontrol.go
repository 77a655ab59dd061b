package http

import "fapws/runtime/exchange"

// Pieces of bodies, and messages, wait in memory until the application takes
// them. Their bytes are counted for each exchange, and beyond
// exchange.InputWindow its client is stopped until the handler
// has given credit for half of it. So the memory for a client is bounded.

// Tell hands input over to the source of x, if it takes any.
func (x *Exchange) Tell(in exchange.Input) {
	if r, ok := x.Source.(exchange.Receiver); ok {
		r.Input(&x.Exchange, in)
	}
}

// Feed is Tell for a piece of a body, which the handler has to give credit for. The carrier stops the client if the handler has enough
// now.
func (x *Exchange) Feed(piece []byte, last bool) {
	x.Received += int64(len(piece))
	c := x.Carrier
	x.Tell(exchange.Input{Data: piece, Last: last})
	if x.given.Add(piece) && !last {
		c.StopInput(x)
	}
}

// Given returns how many bytes of input the source of x has, and has not given back.
func (x *Exchange) Given() int64 { return int64(x.given) }

// Credit implements exchange.Server.
func (x *Exchange) Credit(n int64) {
	more := x.given.Credit(n)
	if x.Carrier != nil {
		x.Carrier.Credited(x, n, more)
	}
}
