package runtime

import (
	"bytes"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// localResponse is a response that the loop makes itself.
type localResponse struct {
	status   int
	text     string // empty: the status's phrase
	body     []byte // instead of a page with text
	kind     string // Content-Type of body
	fields   []byte // "Name: value\r\n" ...
	whole    bool   // body is not to be replaced by a page of the site
	html     bool   // the client is a browser
	override bool   // it asks again and again
	close    bool   // what follows in the connection cannot be understood
}

const (
	htmlType = "text/html; charset=utf-8"
	textType = "text/plain; charset=utf-8"
)

var (
	allowRead  = []byte("Allow: GET, HEAD\r\n")
	retryAfter = []byte("Retry-After: 1\r\n")
	bodyTooBig = localResponse{status: 413, text: "input body too big", close: true}
)

// refusalSource answers exchanges that routing has refused, and sends what refuse, makeLocal and the like have made.
type refusalSource struct{}

// start implements source.
func (*refusalSource) start(l *loop, x *Exchange, rest []byte) (used int) {
	q := x.req
	if q.Fault != "" {
		l.logClient(x.conn, x.rules, LevelError, "%s", q.Fault)
	}
	return l.refuse(x, rest, localResponse{status: q.Status, fields: q.Fields, text: q.Text, whole: q.Status < 400})
}

// send implements source.
func (*refusalSource) send(l *loop, x *Exchange) (more bool) {
	l.use(x.conn)
	l.out.buf = append(l.out.buf, x.local...)
	l.complete(x, false)
	l.done(x)
	return true
}

// left implements source.
func (*refusalSource) left(l *loop, x *Exchange) { l.done(x) }

// refuse answers x without a handler. Its body, if it has one, is skipped when it is here already; otherwise the connection
// ends. It returns how much of rest, which follows the head, is used.
func (l *loop) refuse(x *Exchange, rest []byte, r localResponse) (used int) {
	q := x.req
	if q.hasBody() && !r.close {
		if q.parsed.Body == http1.Sized && q.parsed.Length <= int64(len(rest)) {
			used = int(q.parsed.Length)
		} else {
			r.close = true
		}
	}
	r.html = wantsHTML(&q.parsed, q.Head)
	if x.log != nil {
		x.log.WireIn += int64(used)
	}
	c := x.conn
	l.answerLocally(x, r)
	if c.state == stateEnding {
		return len(rest)
	}
	return used
}

// malformed answers bytes that are no request.
func (l *loop) malformed(c *conn, buf []byte, err error) {
	r := localResponse{status: 400, close: true}
	if e, ok := err.(*http1.StatusError); ok {
		r.status, r.text = e.Status, e.Text
	}
	l.answerLocally(l.newErrorExchange(c, buf), r)
}

// newErrorExchange puts an exchange without a request behind those of c; buf is what came
// instead. It is the default site's.
func (l *loop) newErrorExchange(c *conn, buf []byte) *Exchange {
	x := l.exchanges.get()
	x.minor = 1
	if len(l.sites) > 0 {
		x.rules = l.sites[0].rules
	}
	c.append(x)
	l.noteMalformed(x, buf)
	return x
}

// refuseFor answers x for its handler, which has left that to the loop.
func (l *loop) refuseFor(x *Exchange, p *exchange.Part) {
	r := localResponse{status: p.Head.Status, text: string(p.Head.Reason), fields: bytes.Clone(p.Head.Fields)}
	if len(p.Head.Request) > 0 {
		var req http1.Request
		if _, err := req.Parse(p.Head.Request, &l.cfg.Limits); err == nil {
			r.html = wantsHTML(&req, p.Head.Request)
		}
	}
	if p.Last {
		x.handler.Release(p) // the ticket stays taken until the answer is sent
		l.makeLocal(x, r)
		return
	}
	y := l.substitute(x)
	l.release(p)
	l.makeLocal(y, r)
	x.handler.Cancel(x.ticket)
	l.submitted = true
}

// answerLocally makes r the response of x, which is sent when its turn comes.
func (l *loop) answerLocally(x *Exchange, r localResponse) {
	c := x.conn
	l.makeLocal(x, r)
	if !x.keepAlive {
		// The client may be sending what nobody reads: see finish.
		c.linger = c.linger || r.close
		l.setState(c, stateEnding)
	}
	l.advance(c)
}

// makeLocal makes r the response of x.
func (l *loop) makeLocal(x *Exchange, r localResponse) {
	if l.debug >= 1 {
		l.tracef("%s gets %d: %s", x.conn, r.status, r.text)
	}
	x.phase, x.req, x.source = answering, nil, &refusals
	x.keepAlive = x.keepAlive && !r.close && !l.leaving
	x.overridden = r.override
	if x.rules != nil {
		var missing bool
		if r, missing = l.replaced(x.rules.pages, r); missing {
			x.file, x.source = l.pageJob(x, r), &handedFiles
			return
		}
	}
	resp := l.responseTo(x)
	body := r.fill(&resp)
	x.local = l.appendHead(nil, x, &resp)
	if resp.Body == http1.Sized {
		x.local = append(x.local, body...)
		x.sent = resp.Length
	}
}

// fill completes resp, which has what is known of the request, and returns the
// body.
func (r *localResponse) fill(resp *http1.Response) (body []byte) {
	resp.Status, resp.Fields = r.status, r.fields
	switch {
	case r.body != nil || r.whole:
		body, resp.Type = r.body, r.kind
	case r.html:
		body, resp.Type = ownPage(nil, r.status, r.text), htmlType
	default:
		text := r.text
		if text == "" {
			text = http1.StatusText(r.status)
		}
		body, resp.Type = append([]byte(text), '\n'), textType
	}
	resp.Length = int64(len(body))
	return body
}
