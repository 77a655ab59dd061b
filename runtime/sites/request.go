package sites

import (
	"bytes"
	"time"

	"fapws/runtime/auth"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/route"
	"fapws/runtime/source/refusal"
	"fapws/runtime/tracecontext"
)

// request is what the client of an exchange asks for, and what has been decided about it. Exchange.req is nil once a
// source has taken over what it needs.
//
// All exchanges that do not wait share one, and its slices belong to the input of their connection. keep gives an exchange
// that has to wait one that lasts: then it goes on later where it was.
type request struct {
	route.Decision // where it goes; Head is the head as received
	parsed         http1.Request
	mount          *Mount // nil: none
	kept           bool

	time    time.Time // when its head had arrived, if Sites.timed
	earlier uint32    // requests of its connection before it, as far as they are logged

	check *auth.Check  // of its password, while that is computed
	login checkedLogin // what came of it

	refreshing bool           // the file that its client is known by is read again
	refreshed  credentialFile // that was read again for it; nil: none

	missed []*Mount // whose files have nothing for it
	index  string   // it is for a directory that has this for its index, which is not a plain file

	handed exchange.Request // as a source gets it: see ask

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
	q.mount, q.missed, q.index = nil, q.missed[:0], ""
	q.check, q.login = nil, checkedLogin{}
	q.refreshing, q.refreshed = false, nil
	// One by one: a literal would be made elsewhere and then copied.
	q.handed = exchange.Request{}
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
func (q *request) trace(t *tracecontext.Tracer, id *tracecontext.ID) {
	r := &q.handed
	q.traced = t.Rewrite(q.traced[:0], r.Head, &q.parsed, id)
	r.Head, r.Traced = q.traced, true
}

// ask puts the decision into the request that a source gets.
func (q *request) ask() *exchange.Request {
	r := &q.handed
	r.Head = q.Head
	if m := q.mount; m != nil {
		r.Mount, r.Root, r.Prefix, r.Script = m.Index, q.Root, q.Root+len(m.Prefix), q.Script
		r.Path, r.Routed = q.Asked(m.Resolved), q.Rewritten
	}
	return r
}

// hasBody reports whether a body follows the head.
func (q *request) hasBody() bool { return q.parsed.Body == http1.Chunked || q.parsed.Length > 0 }

// wantsHTML reports whether the client is a browser.
func (q *request) wantsHTML() bool { return refusal.WantsHTML(&q.parsed, q.Head) }

// credentials returns the value of the Authorization field, or nil.
func (q *request) credentials() []byte {
	for _, f := range q.parsed.Fields {
		if f.Name.Len == 13 && bytes.EqualFold(f.Name.In(q.Head), []byte("authorization")) {
			return f.Value.In(q.Head)
		}
	}
	return nil
}
