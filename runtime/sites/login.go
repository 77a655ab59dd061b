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

// authenticate checks whether the client of x may log in where its decision leads. A password that is not known takes
// long to check: that is done beside the loop, which resumes x.
func (s *Sites) authenticate(x *Exchange) (exchange.Reply, accessResult) {
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
		peer := *x.Client()
		peer.User = user
		x.peer = &peer
		return exchange.Reply{}, admitted
	case auth.Wrong:
		return no, rejected
	case auth.Busy:
		return exchange.Reply{Status: 503, Fields: retryAfter}, rejected
	}
	q.check = a.Check(x.Client().Addr, credentials, func(user string, v auth.Verdict) {
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
