package exchange

import (
	"bytes"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/route"
)

// A request is the request of an exchange with its routing decision. Exchanges that do not wait share one value. The
// slices of a request refer to the input of the connection until keep is called.
type request struct {
	route.Decision // Head is the received head
	parsed         http1.Request
	mount          *Mount       // the mount of the decision, or nil
	limits         []*RateLimit // limits that have counted the request
	// the method keep was called, so the slices no longer refer to the input of the connection
	kept    bool
	lasting bool // the request stays valid until Exchange.End

	time    time.Time // time when the head arrived; zero unless Server.timed is true
	earlier uint32    // number of logged requests on the connection before this request

	index string // directory index that Decline appended to the path, or ""

	handed Request // the request in the form for sources (see the method hand)

	forwarded  []byte // reused memory for forwarding fields; the next field is memory for heads with an Identity
	identified []byte
}

func newRequest() *request {
	q := &request{parsed: http1.Request{Fields: make([]http1.Field, 0, 16)}, handed: Request{Spool: -1}}
	q.handed.Parsed = &q.parsed
	return q
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

func (q *request) identify(n *http1.Identifier, trusted, sub bool, id *http1.Identity) {
	r := &q.handed
	q.identified, r.Own = n.Rewrite(q.identified[:0], r.Head, &q.parsed, trusted, sub, id)
	r.Head, q.Head = q.identified, q.identified
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
