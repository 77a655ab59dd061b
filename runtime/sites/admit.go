package sites

import (
	"errors"

	"fapws/runtime/exchange"
	wire "fapws/runtime/http1"
	"fapws/runtime/protocol/http1"
)

// admit has x, which is for an application, answered by its mount.
func (s *Sites) admit(x *Exchange) {
	q, m := x.req, x.req.mount
	r := s.ask(x)
	if (m.WebSocket || m.Tunnels) && q.parsed.UpgradeTo.Len > 0 && wantsWebSocket(x) {
		s.handshake(x)
		return
	}
	if m.DetachSocket && q.parsed.Upgrade && wantsDetachedSocket(x) {
		if !x.InTurn() {
			x.AwaitTurn()
			return
		}
		var err error
		detach := x.client.DetachSocket
		if x.client.Transport() != nil || x.Version == wire.HTTP2 {
			detach = x.newRelay
		}
		switch r.Socket, err = detach(); {
		case errors.Is(err, http1.ErrAhead):
			x.Refuse(exchange.Reply{Status: 400, Text: err.Error(), Close: true})
			return
		case err != nil:
			x.Refuse(exchange.Reply{Status: 503, Fields: retryAfter})
			return
		}
	}
	x.html = m.Streams && q.hasBody() && q.wantsHTML()
	x.Admit(m.answerer())
}

// ask puts together the request that the source of x gets.
func (s *Sites) ask(x *Exchange) *exchange.Request {
	r, c := x.req.ask(), x.client
	if x.peer == nil {
		x.peer = x.Client()
	}
	r.Peer = x.peer
	if x.rules != nil {
		r.ErrorLog = x.rules.number
	}
	if c.subrequest != nil {
		r.Depth, r.Value = c.subrequest.Depth+1, c.subrequest.Value
	}
	return r
}

// wantsDetachedSocket reports whether x, whose Connection lists "upgrade", asks for a
// WebSocket (RFC 6455 §4.1).
func wantsDetachedSocket(x *Exchange) bool {
	req := &x.req.parsed
	return req.Version > wire.HTTP10 && !x.req.hasBody() && string(req.Method.In(x.req.Head)) == "GET" && wantsWebSocket(x)
}
