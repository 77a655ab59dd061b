package exchange

import (
	"fmt"
	"slices"
)

// A state is the phase of an exchange. End sets the state to routing for the next request.
type state uint8

const (
	// The source is not known yet, or the client is not admitted yet.
	routing   state = iota
	receiving       // the source gets the request when the body is complete
	answering
)

type wait uint8

const (
	nothing   wait = iota
	forReady       // routing: the stream calls Continue soon
	forResume      // routing: Resume must be called
	forSites       // routing: Server.Use must be called
	// routing: another request of the client must release a descriptor.
	forDescriptor
	// routing: a goroutine checks whether the source has a response.
	forWork
	forTurn // earlier responses of the connection must be sent
	// answering: the client must read some bytes of earlier responses.
	forEarlier
)

func (s state) String() string { return [...]string{"routing", "receiving", "answering"}[s] }

func (w wait) String() string {
	return [...]string{"nothing", "ready", "resume", "sites", "descriptor", "work", "turn", "earlier"}[w]
}

// progress is the state of an exchange and the event for which it waits.
type progress struct {
	state state
	wait  wait
}

var follows = [...][]state{
	routing:   {routing, receiving, answering},
	receiving: {receiving, answering},
	answering: {answering, routing},
}

// waits lists the possible waits in each state.
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

func (x *progress) Deciding() bool { return x.state == routing && x.wait == nothing }

// Suspended reports whether the routing of x was interrupted and has not continued.
func (x *progress) Suspended() bool { return x.state == routing && x.wait != nothing }

// Waits reports whether the suspended x cannot continue yet.
func (x *Exchange) Waits() bool {
	if x.wait == forTurn {
		return !x.InTurn()
	}
	return x.wait != forReady
}

func (x *progress) AwaitsSites() bool { return x.wait == forSites }

// Delayed reports whether the source of x waits until the client has read earlier responses (see Begin).
func (x *progress) Delayed() bool { return x.wait == forEarlier }

// suspend interrupts the routing of x until the reason w ends. The stream reads no later request until then.
func (x *Exchange) suspend(w wait) {
	x.req.keep()
	x.enter(routing, w)
	x.Source, x.Choice = Memory{}, nil
	x.Stream.Wait(x)
}

// Resume makes the stream call Continue soon.
func (x *Exchange) Resume() {
	x.enter(routing, forReady)
	x.Stream.Wait(x)
}

func (x *Exchange) Continue() {
	s, q := x.s, x.req
	x.enter(routing, nothing)
	if !q.Of(s.table.route) { // the request was routed by the sites before Use
		s.route(x)
	}
	s.decide(x)
}
