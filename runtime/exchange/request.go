package exchange

import (
	"bytes"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/route"
)

// request is the request of an exchange, with the decision about it. Exchange.req is nil once a
// source has taken over what it needs.
//
// All exchanges that do not wait share one, and its slices belong to the input of their connection. keep gives an exchange
// that has to wait one that lasts: then it goes on later where it was.
type request struct {
	route.Decision // where it goes; Head is the head as received
	parsed         http1.Request
	mount          *Mount // nil: none
	kept           bool

	time    time.Time // when its head had arrived, if Server.timed
	earlier uint32    // requests of its connection before it, as far as they are logged

	index string // it is for a directory that has this for its index, which is not a plain file

	handed Request // as a source gets it: see makeRequest

	// Memory for the sources that answer it.
	forwarded []byte // what proxies say of it
	traced    []byte // its head with traceparent
}

// newRequest returns memory for requests.
func newRequest() *request {
	q := &request{parsed: http1.Request{Fields: make([]http1.Field, 0, 16)}}
	q.reset()
	return q
}

// reset makes q ready for another request. Slices keep their memory.
func (q *request) reset() {
	q.mount, q.index = nil, ""
	// One by one: a literal would be made elsewhere and then copied.
	q.handed = Request{}
	q.handed.Parsed, q.handed.Spool = &q.parsed, -1
}

// keep makes q last: it refers to the input of a connection no more.
func (q *request) keep() {
	if q.kept {
		return
	}
	q.kept = true
	q.Decision.Keep()
	r := &q.handed
	r.Head, r.Path, r.Body = q.Head, bytes.Clone(r.Path), nil
}

// trace has the head continue the trace of the client, or begin one, and puts it into id.
func (q *request) trace(t *http1.Tracer, id *http1.TraceID) {
	r := &q.handed
	q.traced = t.Rewrite(q.traced[:0], r.Head, &q.parsed, id)
	r.Head, r.Traced = q.traced, true
}

// admit has x, which is for an application, answered by its mount.
func (s *Server) admit(x *Exchange) {
	q, m := x.req, x.req.mount
	r := x.makeRequest()
	x.peer = r.Peer
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

// makeRequest puts together the request that the source of x gets.
func (x *Exchange) makeRequest() *Request {
	q, c := x.req, x.client
	r := &q.handed
	r.Head, r.Path, r.Root = q.Head, q.Path, q.Root
	if m := q.mount; m != nil {
		r.Mount, r.Prefix, r.Script, r.Routed = m.Index, q.Root+len(m.Prefix), q.Script, q.Rewritten
		if m.Resolved && q.Resolved != nil {
			r.Path = q.Asked()
		}
	}
	if r.Peer = x.peer; r.Peer == nil {
		r.Peer = x.from
	}
	r.ErrorLog = x.rules.site.ErrorLogNumber
	if c.subrequest != nil {
		r.Depth, r.Value = c.subrequest.Depth+1, c.subrequest.Value
	}
	return r
}

// Request returns memory for the next request, with Parsed. It is the same again until that was kept.
func (s *Server) Request() *Request {
	if s.next.kept {
		s.next = newRequest()
	}
	return &s.next.handed
}
