package runtime

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	protocol "fapws/runtime/protocol/http1"
)

// appSource has exchanges answered by the Handler of a mount.
type appSource struct{ mount *Mount }

// appState is what the loop knows of an exchange that a handler answers.
type appState struct {
	handler Handler // that has it; nil: none yet
	extra   []byte  // fields that a handler adds to the answer of another

	bulky    bool      // counts in conn.bulky
	occupies Occupancy // if not OccupiesNothing, it counts in balance.running
	deferred bool      // the handler has not started it (exchange.OpDeferred, Request.Held); counts in conn.deferred

	queued int64 // bytes of held that are counted for the client: see unsent.go
	turn   int64 // among the requests that had to wait for their client; 0: it never had to

	since  int64 // loop.now when the handler began to owe the next part
	owed   bool  // the handler has it, and its last part has not come back
	orphan bool  // counted in loop.orphans

	given    int64 // bytes of input that the handler has, with exchange.InputCost for each piece
	detached bool  // the handler has a duplicate of the descriptor: see detachedsocket.go
}

// admit takes the request of x, which is for an application: it submits it, or begins to collect its body.
func (l *loop) admit(x *Exchange) {
	q, m := x.req, x.req.mount
	r := q.ask()
	if (m.WebSocket || m.Tunnels) && q.parsed.UpgradeTo.Len > 0 && wantsWebSocket(x) {
		l.handshake(x)
		return
	}
	var body []byte
	if q.hasBody() {
		if q.parsed.Body == http1.Chunked || q.parsed.Length > int64(len(l.rest)) {
			if m.Streams {
				x.streamBody()
				return
			}
			x.collectBody()
			return
		}
		if protocol.TooLarge(q.parsed.Length, x.maxBody) {
			x.refuse(bodyTooBig)
			return
		}
		body = l.rest[:q.parsed.Length]
	}
	socket := 0
	if m.DetachSocket && q.parsed.Upgrade && wantsDetachedSocket(x) {
		var err error
		if !x.isFirst() {
			x.suspend(awaitingTurn)
			return
		} else if len(l.rest) > 0 {
			x.refuse(earlyData)
			return
		} else if socket, err = l.detachSocket(x.conn); err != nil {
			x.refuse(exchange.Reply{Status: 503, Fields: retryAfter})
			return
		}
	}
	r.Body, r.Size = body, int64(len(body))
	r.Socket = socket
	l.rest = l.rest[len(body):]
	l.submit(x, r)
}

// Start implements exchange.Source: it gives x, whose request is whole, to the handler.
func (s *appSource) Start(x *exchange.Exchange) {
	y := of(x)
	y.l.hand(y)
}

// OnRoom implements exchange.Source: what the handler owes is due from now on.
func (s *appSource) OnRoom(x *exchange.Exchange) {
	y := of(x)
	y.since = y.l.now()
}

// OnGone implements exchange.Source: it cancels x, unless other clients wait for the same page.
func (s *appSource) OnGone(x *exchange.Exchange) {
	y := of(x)
	y.l.cancelHandler(y)
}

// cancelHandler ends x, whose client has left.
func (l *loop) cancelHandler(x *Exchange) {
	if x.handler == nil { // its body is still arriving
		x.end()
		return
	}
	if x.deferred {
		l.startDeferred(x)
	}
	if x.fill != nil && l.keptAlive(x) {
		return
	}
	if l.debug >= 2 {
		l.tracef("exchange %d is cancelled", x.ticket)
	}
	l.countOrphan(x)
	x.handler.Cancel(x.ticket)
	l.submitted = true // an inline handler closes its iterators in Flush
}
