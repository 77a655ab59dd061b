package runtime

import "fapws/runtime/auth"

// login is what was found out, beside the loop, about the credentials of a
// request.
type login struct {
	with    *auth.Basic
	user    string
	verdict auth.Verdict
}

// verdict says what authenticate has come to.
type verdict uint8

const (
	admitted verdict = iota
	rejected
	undecided // the request begins again when that is known
)

// authenticate checks whether the client may log in where at leads. A password that
// is not known takes long to check: that is done beside the loop, and the request waits in the input of c.
func (l *loop) authenticate(c *conn, at *decision) (localResponse, verdict) {
	a := at.rules.auth
	no := localResponse{status: 401, fields: a.Challenge()}
	credentials := at.credentials(at.Head)
	if credentials == nil {
		return no, rejected
	}
	user, found := a.Known(credentials)
	if known := c.known; found == auth.Unknown && known != nil && known.login.with == a {
		user, found = known.login.user, known.login.verdict
	}
	switch found {
	case auth.Right:
		peer := *c.Client()
		peer.User = user
		at.peer = &peer
		return localResponse{}, admitted
	case auth.Wrong:
		return no, rejected
	case auth.Busy:
		return localResponse{status: 503, fields: retryAfter}, rejected
	}
	c.check = a.Check(c.Client().Addr, credentials, func(user string, v auth.Verdict) {
		l.post(func() { l.checked(c, login{a, user, v}) })
	})
	l.setState(c, stateWaiting)
	return localResponse{}, undecided
}

// checked lets c begin again with its request.
func (l *loop) checked(c *conn, found login) {
	if c.state == stateClosed {
		return
	}
	c.check = nil
	if c.known == nil {
		c.known = new(known)
	}
	c.known.login = found
	l.queue(c)
}

// credentials returns the value of the Authorization field, or nil.
func (at *decision) credentials(head []byte) []byte {
	for _, f := range at.req.Fields {
		if f.Name.Len == 13 && is(f, head, "authorization") {
			return f.Value.In(head)
		}
	}
	return nil
}
