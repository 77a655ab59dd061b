package exchange

import (
	"fmt"
	"slices"
)

// A state is the phase of an exchange. Exchange.End resets the state to routing.
type state uint8

const (
	// it is not decided yet which source answers, or whether the client has access
	routing   state = iota
	receiving       // the body is arriving; the source gets the request when the body is complete
	answering
)

type wait uint8

const (
	nothing       wait = iota
	forReady           // in the state routing, the stream calls Continue soon
	forResume          // in the state routing, Resume must be called
	forSites           // in the state routing, Server.Use must be called
	forDescriptor      // in the state routing, another request of the same client must release a descriptor
	forWork            // in the state routing, a goroutine checks whether the source has a response
	forTurn            // earlier responses on the connection must first be sent
	forEarlier         // in the state answering, the client must first read some of the earlier output
)

func (s state) String() string { return [...]string{"routing", "receiving", "answering"}[s] }

func (w wait) String() string {
	return [...]string{"nothing", "ready", "resume", "sites", "descriptor", "work", "turn", "earlier"}[w]
}

// progress contains the state of an exchange and the event for which the exchange waits.
type progress struct {
	state state
	wait  wait
}

var follows = [...][]state{
	routing:   {routing, receiving, answering},
	receiving: {receiving, answering},
	answering: {answering, routing},
}

var waits = [...][]wait{
	routing:   {nothing, forReady, forResume, forSites, forDescriptor, forWork, forTurn},
	receiving: {nothing},
	answering: {nothing, forTurn, forEarlier},
}

func (x *progress) enter(s state, w wait) {
	if invariants && !(slices.Contains(follows[x.state], s) && slices.Contains(waits[s], w)) {
		panic(fmt.Sprintf("an exchange that is %v, waiting for %v, must not become %v, waiting for %v", x.state, x.wait,
			s, w))
	}
	x.state, x.wait = s, w
}

// Suspended reports whether the routing of x was interrupted.
func (x *progress) Suspended() bool { return x.state == routing && x.wait != nothing }

func (x *progress) AwaitsSites() bool { return x.wait == forSites }

// Delayed reports whether the source of x waits until the client has read earlier responses (see Begin).
func (x *progress) Delayed() bool { return x.wait == forEarlier }
