package sites

import (
	"net/netip"

	"fapws/runtime/exchange"
	"fapws/runtime/filter/header"
	"fapws/runtime/login"
)

// findSession decides by the session of the request: its cookie.
func (s *Sites) findSession(x *Exchange) (exchange.Reply, accessResult) {
	l, q := x.rules.login, x.req
	secure := x.Client().Scheme == "https"
	session := l.Session(q.Head, q.parsed.Fields, secure)
	if session == nil && x.rules.local && isLoopback(x.Client().Addr) {
		return exchange.Reply{}, admitted
	}
	if session == nil {
		return q.askToLogIn(x), rejected
	}
	changes := !q.parsed.Safe || q.parsed.UpgradeTo.Len > 0
	if changes && login.FromElsewhere(q.Head, q.parsed.Fields, x.host()) {
		return exchange.Reply{Status: 403, Text: "a page of another site has sent this request"}, rejected
	}
	x.logIn(session.User, exchange.Form)
	if cookie := l.Renew(session, secure); cookie != "" {
		x.renewal, _ = header.NewEdit(nil, []header.Field{{Name: "Set-Cookie", Value: cookie}}, nil) // no cookie of ours is wrong
	}
	return exchange.Reply{}, admitted
}

func isLoopback(addr string) bool {
	a, err := netip.ParseAddr(addr)
	return err == nil && a.Unmap().IsLoopback()
}

// askToLogIn answers a client without a session: a browser that shows a page gets the form, others know what to do.
func (q *request) askToLogIn(x *Exchange) exchange.Reply {
	if !q.parsed.Safe || q.parsed.UpgradeTo.Len > 0 || !q.wantsHTML() {
		return exchange.Reply{Status: 401, Fields: []byte(login.Challenge)}
	}
	root := string(q.Path[:q.Root])
	target := string(q.parsed.Target.In(q.Head))
	if q.Hidden {
		target = root + target
	}
	return exchange.Reply{Status: 303, Whole: true, Fields: []byte("Location: " + login.Location(root, target) + "\r\nCache-Control: no-store\r\n")}
}

// host returns the host and port that the client of x has asked for.
func (x *Exchange) host() string {
	p, q := x.Client(), x.req
	switch {
	case p.Host != "":
		return p.Host
	case q.parsed.Authority.Len > 0: // RFC 9112 §3.2.2: it wins
		return string(q.parsed.Authority.In(q.Head))
	}
	return string(q.parsed.Host.In(q.Head))
}
