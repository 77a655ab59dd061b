package exchange

import (
	"bytes"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/route"
)

// request is the request of an exchange, with the decision.
//
// All exchanges that do not wait share one request. The slices of request refer to the input of the connection. keep
// makes the request of a waiting exchange permanent.
type request struct {
	route.Decision // Decision.Head is the head as it was received
	parsed         http1.Request
	mount          *Mount       // the mount of the decision; nil if none
	limits         []*RateLimit // limits that have counted the request
	// keep was called: the slices no longer refer to the input of the connection
	kept    bool
	lasting bool // the request remains valid until End of its exchange

	time    time.Time // arrival of the head, if Server.timed is set
	earlier uint32    // logged requests of its connection before this one

	// name of the directory index that Decline appended to the path, or ""
	index string

	handed Request // the request in the form that sources get (see hand)

	// Reused memory for the forwarding fields, and for a head with the fields of an identity.
	forwarded  []byte
	identified []byte
}

func newRequest() *request {
	q := &request{parsed: http1.Request{Fields: make([]http1.Field, 0, 16)}}
	q.reset()
	return q
}

func (q *request) reset() {
	q.mount, q.limits, q.index = nil, q.limits[:0], ""
	// The compiler would copy a composite literal.
	q.handed = Request{}
	q.handed.Parsed, q.handed.Spool = &q.parsed, -1
}

// keep copies the slices of q, so that they no longer refer to the input of the connection.
func (q *request) keep() {
	if q.kept {
		return
	}
	q.kept = true
	q.Decision.Keep()
	r := &q.handed
	r.Head, r.Path, r.Body = q.Head, bytes.Clone(r.Path), nil
}

// identify gives the request its identity, with fields at the end of the head.
func (q *request) identify(n *http1.Identifier, trusted bool, id *http1.Identity) {
	r := &q.handed
	q.identified, r.Own = n.Rewrite(q.identified[:0], r.Head, &q.parsed, trusted, id)
	r.Head, q.Head = q.identified, q.identified
}

func (s *Server) admit(x *Exchange) {
	q, m := x.req, x.req.mount
	q.hand(x)
	if m.Unbounded && !x.HoldDescriptor() {
		x.AwaitDescriptor()
		return
	}
	if m.Upgrades != NoUpgrades && q.parsed.UpgradeTo.Len > 0 && !x.client.Subrequest() && !s.offer(x, m) {
		return
	}
	x.Choice = m
	x.Stream.Read(x)
}

func (q *request) hand(x *Exchange) *Request {
	r, c := &q.handed, x.client
	r.Head, r.Path, r.Root = q.Head, q.Path, q.Root
	if m := q.mount; m != nil {
		r.Mount, r.Prefix, r.Script, r.Routed = m.Index, q.Root+len(m.Prefix), q.Script, q.Rewritten
		if m.Resolved && q.Resolved != nil {
			r.Path = q.Asked()
		}
	}
	r.Peer = x.from
	r.ErrorLog = x.rules.site.ErrorLogNumber
	r.Origin = c.subrequest
	if e := x.Record; e != nil && e.Times != nil {
		r.Services = &Services{Times: e.Times}
	}
	return r
}

// Request returns the memory into which the next request is parsed. Each call returns the same memory until an exchange
// keeps the request.
func (s *Server) Request() *Request {
	if s.next.kept {
		s.next = newRequest()
	}
	return &s.next.handed
}
