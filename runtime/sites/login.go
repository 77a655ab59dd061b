package sites

import (
	"fapws/runtime/auth"
	"fapws/runtime/exchange"
)

// checkedLogin is what has been found out, beside the loop, about the credentials of a request.
type checkedLogin struct {
	with    *auth.Basic
	user    string
	verdict auth.Verdict
}

var retryAfter = []byte("Retry-After: 1\r\n")

// accessResult says what authenticate has come to.
type accessResult uint8

const (
	admitted accessResult = iota
	rejected
	unknown // the exchange goes on when that is known
)

// credentialFile is a file that clients are known by. Files are read again beside the loop.
type credentialFile interface {
	Fresh() bool // it has not changed since it was read; does not block
	Refresh()
}

// authenticate checks whether the client of x may go where its decision leads. What takes long, to read a file or to check a
// password, is done beside the loop, which resumes x.
func (s *Sites) authenticate(x *Exchange) (exchange.Reply, accessResult) {
	q := x.req
	var file credentialFile = x.rules.login
	if x.rules.login == nil {
		file = x.rules.auth
	}
	if q.refreshed != file && !file.Fresh() {
		q.refreshing = true
		go func() {
			file.Refresh()
			s.set.Events.Post(func() { s.refreshed(x, q, file) })
		}()
		return exchange.Reply{}, unknown
	}
	if x.rules.login != nil {
		return s.findSession(x)
	}
	return s.checkPassword(x)
}

// refreshed lets x go on, whose request was q, unless its client has left.
func (s *Sites) refreshed(x *Exchange, q *request, file credentialFile) {
	if x.req != q || !q.refreshing {
		return
	}
	q.refreshing, q.refreshed = false, file
	x.Resume()
}

// checkPassword decides by the password of the request (Basic authentication).
func (s *Sites) checkPassword(x *Exchange) (exchange.Reply, accessResult) {
	a, q := x.rules.auth, x.req
	no := exchange.Reply{Status: 401, Fields: a.Challenge()}
	credentials := q.credentials()
	if credentials == nil {
		return no, rejected
	}
	user, found := a.Known(credentials)
	if found == auth.Unknown && q.login.with == a {
		user, found = q.login.user, q.login.verdict
	}
	switch found {
	case auth.Right:
		x.logIn(user, exchange.Basic)
		return exchange.Reply{}, admitted
	case auth.Wrong:
		return no, rejected
	case auth.Busy:
		return exchange.Reply{Status: 503, Fields: retryAfter}, rejected
	}
	// While many requests arrive at once, the ends of their connections are not read yet, and would take the places of others.
	c := x.Conn()
	q.check = a.Check(auth.Origin{Addr: x.Client().Addr, Conn: x.client, Ends: c != nil && c.Ends()}, credentials, func(user string, v auth.Verdict) {
		s.set.Events.Post(func() { s.checked(x, q, checkedLogin{a, user, v}) })
	})
	return exchange.Reply{}, unknown
}

// checked lets x go on, whose request was q, unless its client has left.
func (s *Sites) checked(x *Exchange, q *request, found checkedLogin) {
	if x.req != q || q.check == nil {
		return
	}
	q.check, q.login = nil, found
	x.Resume()
}

// logIn notes the user of x.
func (x *Exchange) logIn(user string, by exchange.Login) {
	peer := *x.Client()
	peer.User, peer.Login = user, by
	x.peer = &peer
}
