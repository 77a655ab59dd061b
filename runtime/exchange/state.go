package exchange

import (
	"fmt"
	"slices"
)

// state is how far an exchange has come. End makes it routing again, for the next request.
type state uint8

const (
	routing   state = iota // what answers the request is not known yet, or not decided yet
	receiving              // the source gets the request when its body is whole
	answering              // the source has the request
)

// wait is what an exchange waits for in its state.
type wait uint8

const (
	nothing    wait = iota
	forReady        // routing: the stream continues it soon, by GoOn
	forResume       // routing: Resume is called
	forSites        // routing: Server.Use is called
	forWork         // routing: a goroutine finds out whether the source answers
	forTurn         // earlier responses of its connection must leave first
	forEarlier      // answering: less of what its connection was asked for waits for the client
)

func (s state) String() string { return [...]string{"routing", "receiving", "answering"}[s] }

func (w wait) String() string {
	return [...]string{"nothing", "ready", "resume", "sites", "work", "turn", "earlier"}[w]
}

// follows has the states that may follow a state. Decline leads from answering back to routing.
var follows = [...][]state{
	routing:   {routing, receiving, answering},
	receiving: {receiving, answering},
	answering: {answering, routing},
}

// waits has what an exchange may wait for in each state.
var waits = [...][]wait{
	routing:   {nothing, forReady, forResume, forSites, forWork, forTurn},
	receiving: {nothing},
	answering: {nothing, forTurn, forEarlier},
}

// enter is where the state of an exchange changes, and what it waits for.
func (x *Exchange) enter(s state, w wait) {
	if invariants && !(slices.Contains(follows[x.state], s) && slices.Contains(waits[s], w)) {
		panic(fmt.Sprintf("an exchange that is %v, waiting for %v, must not become %v, waiting for %v", x.state, x.wait, s, w))
	}
	x.state, x.wait = s, w
}

// Deciding reports whether what answers x is being decided, and x does not wait.
func (x *Exchange) Deciding() bool { return x.state == routing && x.wait == nothing }

// Suspended reports whether routing of x has stopped and not continued.
func (x *Exchange) Suspended() bool { return x.state == routing && x.wait != nothing }

// Waits reports whether x, which is suspended, must still wait.
func (x *Exchange) Waits() bool {
	if x.wait == forTurn {
		return !x.InTurn()
	}
	return x.wait != forReady
}

// AwaitsSites reports whether x waits for Server.Use.
func (x *Exchange) AwaitsSites() bool { return x.wait == forSites }

// Delayed reports whether the source of x waits with the response: see Begin.
func (x *Exchange) Delayed() bool { return x.wait == forEarlier }

// suspend stops routing x until what it waits for has come. Later input of its stream is not read meanwhile.
func (x *Exchange) suspend(w wait) {
	x.req.keep()
	x.enter(routing, w)
	x.Source, x.Choice = nil, nil
	x.Stream.Wait(x)
}

// Resume lets x continue soon.
func (x *Exchange) Resume() {
	x.enter(routing, forReady)
	x.Stream.Wait(x)
}

// GoOn routes x again, which was suspended and no longer waits.
func (x *Exchange) GoOn() {
	s, q := x.s, x.req
	x.enter(routing, nothing)
	if !q.Of(s.table.route) { // it was made before Use
		s.route(x)
	}
	s.decide(x)
}
