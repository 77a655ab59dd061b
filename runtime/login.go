package runtime

import (
	"bytes"

	"fapws/runtime/auth"
)

// login is what was found out, beside the loop, about the credentials of a
// request.
type login struct {
	with *auth.Basic
	user string
	ok   bool
	err  error
}

// verdict says what authenticate has come to.
type verdict uint8

const (
	admitted verdict = iota
	rejected
	undecided // the request begins again when that is known
)

// authenticate sees to it that the client of the request in l.req may log in
// with a. A password that is not known takes long to check: a goroutine does
// it, and the request waits in the input of c.
func (l *loop) authenticate(c *conn, a *auth.Basic, head []byte) (refusal, verdict) {
	no := refusal{status: 401, fields: a.Challenge()}
	credentials := l.credentials(head)
	if credentials == nil {
		return no, rejected
	}
	user, ok := a.Known(credentials)
	if known := c.known; !ok && known != nil && known.login.with == a {
		user, ok = known.login.user, known.login.ok
		if known.login.err != nil {
			return refusal{status: 503, fields: retryAfter}, rejected
		}
		if !ok {
			return no, rejected
		}
	}
	if ok {
		peer := *c.client()
		peer.User = user
		l.course.peer = &peer
		return refusal{}, admitted
	}
	c.checking = true
	credentials = bytes.Clone(credentials)
	go func() {
		found := login{with: a}
		found.user, found.ok, found.err = a.Verify(credentials)
		l.post(func() { l.checked(c, found) })
	}()
	l.spawned = true
	l.setState(c, stateWaiting)
	return refusal{}, undecided
}

// checked lets c begin again with its request.
func (l *loop) checked(c *conn, found login) {
	c.checking = false
	if c.state == stateClosed {
		return
	}
	if c.known == nil {
		c.known = new(known)
	}
	c.known.login = found
	l.queue(c)
}

// credentials returns the value of the Authorization field, or nil.
func (l *loop) credentials(head []byte) []byte {
	for _, f := range l.req.Fields {
		if f.Name.Len == 13 && is(f, head, "authorization") {
			return f.Value.In(head)
		}
	}
	return nil
}
