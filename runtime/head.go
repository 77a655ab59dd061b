package runtime

import "fapws/runtime/http1"

// headWriter makes the heads of responses. It belongs to the loop.
type headWriter struct {
	template *http1.Template
	edited   []byte // memory for fields that rules have changed
	fields   []byte // memory for those who make r.Fields
}

// append appends the head of r to dst, with what rules, which may be nil, make of it.
func (w *headWriter) append(dst []byte, rules *rules, r *http1.Response) []byte {
	if rules != nil {
		w.edited = rules.headers.Apply(w.edited, r)
	}
	return w.template.AppendHead(dst, r)
}

// response returns a response to x with everything that its request decides.
func (x *Exchange) response() http1.Response {
	l := x.l
	return http1.Response{Length: -1, Minor: x.minor, Head: x.head, KeepAlive: x.keepAlive && !(l.leaving && x.next == nil)}
}

// appendHead appends the head of the response to x, with what rules make of it, and notes
// in x how the body is sent. All heads are made here.
func (x *Exchange) appendHead(dst []byte, r *http1.Response) []byte {
	l := x.l
	before := len(dst)
	dst = l.heads.append(dst, x.rules, r)
	x.headSent(dst[before:])
	x.status, x.framing, x.left = r.Status, r.Body, r.Length
	x.keepAlive = x.keepAlive && r.KeepAlive
	return dst
}
