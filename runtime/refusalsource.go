package runtime

import (
	"bytes"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/source/refusal"
)

var (
	allowRead  = []byte("Allow: GET, HEAD\r\n")
	retryAfter = []byte("Retry-After: 1\r\n")
	bodyTooBig = refusal.Response{Status: 413, Text: "input body too big", Close: true}
)

// refusalSource answers exchanges that routing has refused, and sends what refuse, makeLocal and the like have made.
type refusalSource struct{}

// start implements source.
func (*refusalSource) start(l *loop, x *Exchange, rest []byte) (used int) {
	q := x.req
	if q.Fault != "" {
		l.logClient(x.conn, x.rules, loglevel.Error, "%s", q.Fault)
	}
	return l.refuse(x, rest, refusal.Response{Status: q.Status, Fields: q.Fields, Text: q.Text, Whole: q.Status < 400})
}

// send implements source.
func (*refusalSource) send(l *loop, x *Exchange) (more bool) {
	l.use(x.conn)
	l.out.buf = append(l.out.buf, x.local...)
	l.complete(x, false)
	l.done(x)
	return true
}

// memorySource answers exchanges with what a refusal.Source makes.
type memorySource struct {
	refusalSource
	of refusal.Source
}

// start implements source.
func (s *memorySource) start(l *loop, x *Exchange, rest []byte) (used int) {
	return l.refuse(x, rest, s.of.Respond(&x.req.Decision))
}

// left implements source.
func (*refusalSource) left(l *loop, x *Exchange) { l.done(x) }

// refuse answers x without a handler. Its body, if it has one, is skipped when it is here already; otherwise the connection
// ends. It returns how much of rest, which follows the head, is used.
func (l *loop) refuse(x *Exchange, rest []byte, r refusal.Response) (used int) {
	q := x.req
	if q.hasBody() && !r.Close {
		if q.parsed.Body == http1.Sized && q.parsed.Length <= int64(len(rest)) {
			used = int(q.parsed.Length)
		} else {
			r.Close = true
		}
	}
	r.HTML = refusal.WantsHTML(&q.parsed, q.Head)
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
func (l *loop) malformed(c *httpConn, buf []byte, err error) {
	r := refusal.Response{Status: 400, Close: true}
	if e, ok := err.(*http1.StatusError); ok {
		r.Status, r.Text = e.Status, e.Text
	}
	l.answerLocally(l.newErrorExchange(c, buf), r)
}

// newErrorExchange puts an exchange without a request behind those of c; buf is what came
// instead. It is the default site's.
func (l *loop) newErrorExchange(c *httpConn, buf []byte) *Exchange {
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
	r := refusal.Response{Status: p.Head.Status, Text: string(p.Head.Reason), Fields: bytes.Clone(p.Head.Fields)}
	if len(p.Head.Request) > 0 {
		var req http1.Request
		if _, err := req.Parse(p.Head.Request, &l.cfg.Limits); err == nil {
			r.HTML = refusal.WantsHTML(&req, p.Head.Request)
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
func (l *loop) answerLocally(x *Exchange, r refusal.Response) {
	c := x.conn
	l.makeLocal(x, r)
	if !x.keepAlive {
		// The client may be sending what is not read: see finish.
		c.linger = c.linger || r.Close
		l.setState(c, stateEnding)
	}
	l.advance(c)
}

// makeLocal makes r the response of x.
func (l *loop) makeLocal(x *Exchange, r refusal.Response) {
	if l.debug >= 1 {
		l.tracef("%s gets %d: %s", x.conn, r.Status, r.Text)
	}
	x.phase, x.req, x.source = answering, nil, &refusals
	x.keepAlive = x.keepAlive && !r.Close && !l.leaving
	x.overridden = r.Override
	r, missing := x.rules.errorPages().Replace(l.wall(), r)
	if missing {
		x.file, x.source = l.pageJob(x, r), &handedFiles
		return
	}
	resp := l.responseTo(x)
	body := r.Fill(&resp)
	x.local = l.appendHead(nil, x, &resp)
	if resp.Body == http1.Sized {
		x.local = append(x.local, body...)
		x.sent = resp.Length
	}
}
