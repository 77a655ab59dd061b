package exchange

import (
	"fmt"
	"slices"
)

// End sets the state to routing for the next request.
type state uint8

const (
	routing   state = iota // the source is unknown or not allowed yet
	receiving              // the source gets the request when the body is complete
	answering              // the source has the request
)

type wait uint8

const (
	nothing       wait = iota
	forReady           // routing: the stream continues it soon, by Continue
	forResume          // routing: Resume is called
	forSites           // routing: Server.Use is called
	forDescriptor      // routing: other requests of the client release a descriptor
	forWork            // routing: a goroutine finds out whether the source answers
	forTurn            // the earlier responses of its connection are sent
	forEarlier         // answering: fewer bytes of earlier responses wait for the client
)

func (s state) String() string { return [...]string{"routing", "receiving", "answering"}[s] }

func (w wait) String() string {
	return [...]string{"nothing", "ready", "resume", "sites", "descriptor", "work", "turn", "earlier"}[w]
}

// progress is the state of an exchange, and what it waits for.
type progress struct {
	state state
	wait  wait
}

var follows = [...][]state{
	routing:   {routing, receiving, answering},
	receiving: {receiving, answering},
	answering: {answering, routing},
}

// waits lists the possible reasons to wait in each state.
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

// Suspended reports whether routing of x has stopped and not continued.
func (x *progress) Suspended() bool { return x.state == routing && x.wait != nothing }

// Waits reports whether x, which is suspended, cannot continue yet.
func (x *Exchange) Waits() bool {
	if x.wait == forTurn {
		return !x.InTurn()
	}
	return x.wait != forReady
}

func (x *progress) AwaitsSites() bool { return x.wait == forSites }

// Delayed reports whether the source of x waits with the response: see Begin.
func (x *progress) Delayed() bool { return x.wait == forEarlier }

// suspend interrupts the routing of x until the reason w ends. The stream reads no later request until then.
func (x *Exchange) suspend(w wait) {
	x.req.keep()
	x.enter(routing, w)
	x.Source, x.Choice = Memory{}, nil
	x.Stream.Wait(x)
}

// Resume lets the stream continue the routing of x soon, in turn: see Continue.
func (x *Exchange) Resume() {
	x.enter(routing, forReady)
	x.Stream.Wait(x)
}

func (x *Exchange) Continue() {
	s, q := x.s, x.req
	x.enter(routing, nothing)
	if !q.Of(s.table.route) { // the decision is from before Use
		s.route(x)
	}
	s.decide(x)
}
