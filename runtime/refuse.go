package runtime

import (
	"fapws/runtime/http1"
)

// refusal is a response that the loop makes itself.
type refusal struct {
	status int
	text   string // empty: the status's phrase
	page   []byte // HTML, instead of text
	fields []byte // "Name: value\r\n" ...
	close  bool   // what follows in the connection cannot be understood
}

var (
	allowAll   = []byte("Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n")
	allowRead  = []byte("Allow: GET, HEAD\r\n")
	retryAfter = []byte("Retry-After: 1\r\n")
	bodyTooBig = refusal{status: 413, text: "input body too big", close: true}
)

// refuse answers the request in l.req without a handler. Its body, if it has
// one, is skipped when it is here already; otherwise the connection ends.
func (l *loop) refuse(c *conn, head, rest []byte, used int, r refusal) (int, bool) {
	if l.hasBody() && !r.close {
		if l.req.Body == http1.Sized && l.req.Length <= int64(len(rest)) {
			used += int(l.req.Length)
		} else {
			r.close = true
		}
	}
	x := l.newFlight(c, head)
	l.answerLocally(x, r)
	if c.state == stateEnding {
		return used + len(rest), false
	}
	return used, c.state == stateReady
}

// malformed answers bytes that are no request.
func (l *loop) malformed(c *conn, err error) {
	r := refusal{status: 400, close: true}
	if e, ok := err.(*http1.StatusError); ok {
		r.status, r.text = e.Status, e.Text
	}
	x := l.flights.get()
	x.minor = 1
	c.append(x)
	if l.timed {
		l.note(x, nil)
	}
	l.answerLocally(x, r)
}

// answerLocally makes r the response of x, which is sent when its turn comes.
func (l *loop) answerLocally(x *flight, r refusal) {
	c := x.conn
	resp := http1.Response{
		Status:    r.status,
		Fields:    r.fields,
		Minor:     x.minor,
		Head:      x.head,
		KeepAlive: x.keepAlive && !r.close && !l.leaving,
	}
	if l.debug >= 1 {
		l.tracef("%s gets %d: %s", c, r.status, r.text)
	}
	if r.page != nil {
		x.notice = true
		x.local = appendPage(nil, l.template, &resp, r.page)
	} else {
		x.local = l.template.AppendError(nil, &resp, r.text)
	}
	x.status = r.status
	x.keepAlive = resp.KeepAlive
	if resp.Body == http1.Sized {
		x.sent = resp.Length
	}
	if !x.keepAlive {
		// The client may be sending what nobody reads: see finish.
		c.linger = c.linger || r.close
		l.setState(c, stateEnding)
	}
	l.advance(c)
}
