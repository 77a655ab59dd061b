package runtime

import "fapws/runtime/http1"

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
	dst = l.heads.Append(dst, x.rules.edits(), r)
	x.headSent(dst[before:])
	x.out.Begin(r, len(dst)-before)
	x.keepAlive = x.keepAlive && r.KeepAlive
	return dst
}
