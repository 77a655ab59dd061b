package runtime

import "fapws/runtime/http1"

// responseTo returns a response to x with everything that its request decides.
func (l *loop) responseTo(x *Exchange) http1.Response {
	return http1.Response{Length: -1, Minor: x.minor, Head: x.head, KeepAlive: x.keepAlive && !(l.leaving && x.next == nil)}
}

// appendHead appends the head of the response to x, with what rules make of it, and notes
// in x how the body is sent. All heads of the loop are made here; those of files that have
// to be opened first by fileJob.open.
func (l *loop) appendHead(dst []byte, x *Exchange, r *http1.Response) []byte {
	before := len(dst)
	dst, l.edited = writeHead(dst, l.template, x.rules, r, l.edited[:0])
	x.headSent(dst[before:])
	x.status, x.framing, x.left = r.Status, r.Body, r.Length
	x.keepAlive = x.keepAlive && r.KeepAlive
	return dst
}

// writeHead appends a head to dst, with what rules, which may be nil, make of it. buf is for
// fields that they change; it is returned for the next head.
func writeHead(dst []byte, t *http1.Template, rules *rules, r *http1.Response, buf []byte) (_, edited []byte) {
	buf = rules.edit(buf, r)
	return t.AppendHead(dst, r), buf
}
