package sites

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"fapws/runtime/auth"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
)

// Rules say what holds for requests whatever answers them. What a mount says
// goes before what its site says.
type Rules struct {
	opt  RuleOptions
	edit *exchange.Edit // nil: none

	editSecure *exchange.Edit // over HTTPS, in addition; nil: none
	allow      []byte         // the Allow field of a 405, with its line
}

// RuleOptions are what Rules are made of. The zero value of each means nothing.
type RuleOptions struct {
	Set    []exchange.Field // fields of all responses, errors too; they replace those of the same name
	Add    []exchange.Field // fields beside those of the same name
	Remove []string         // names of fields that responses do not have

	// SetSecure is as Set, for responses to requests that have come over HTTPS, as far as trusted proxies say.
	SetSecure []exchange.Field

	// Allow and Deny are networks of the client, as trusted proxies report it. A client in
	// Allow is allowed; one that is only in Deny gets 403; one in neither is allowed,
	// unless Deny is empty and Allow is not. A client without an address, of a unix socket,
	// is only in networks that have all addresses.
	Allow, Deny []netip.Prefix

	// Methods are the allowed ones (405 for others); GET allows HEAD.
	Methods []string

	Cert route.ClientCert // that clients have to show

	Auth    *auth.Basic // users that may log in with a password in each request; nil: no password is needed
	Login   *auth.Login // in its place: users that may log in by a form; nil: no session is needed
	NoLogin bool        // neither is needed, whatever the site says

	MaxBodySize int64         // as in Config
	Timeout     time.Duration // as in Config; below zero: none
}

// NewRules checks o. The error is one line.
func NewRules(o RuleOptions) (*Rules, error) {
	r := &Rules{opt: o}
	var err error
	if r.edit, err = exchange.NewEdit(o.Set, o.Add, o.Remove); err != nil {
		return nil, err
	}
	if r.editSecure, err = exchange.NewEdit(o.SetSecure, nil, nil); err != nil {
		return nil, err
	}
	for _, method := range o.Methods {
		if method == "" || strings.ToUpper(method) != method || exchange.CheckFieldName(method) != nil {
			return nil, fmt.Errorf("%q is not a method (GET, POST, ...)", method)
		}
	}
	if len(o.Methods) > 0 {
		allowed := strings.Join(o.Methods, ", ")
		if slices.Contains(o.Methods, "GET") && !slices.Contains(o.Methods, "HEAD") {
			allowed += ", HEAD"
		}
		r.allow = []byte("Allow: " + allowed + "\r\n")
	}
	return r, nil
}

// rules are those of a mount and its site together, as exchanges have them.
type rules struct {
	headers exchange.Edits // the site's first
	guard   route.Guard    // what package route has to know
	auth    *auth.Basic    // one of these two, or none
	login   *auth.Login
	local   bool           // clients on this machine need no session
	pages   exchange.Pages // nil: the server's own
	log     *logfile.AccessLog
	unlog   bool
	errors  func(logfile.Level, string, string) // nil: Config.LogClient
	number  int                                 // of that log: exchange.Request.ErrorLog
	name    string                              // of the site, for logs; "": none
	timeout time.Duration                       // 0: that of Config
	maxBody int64                               // 0: that of Config

	secure *rules // in their place for requests over HTTPS; nil: the same
}

// onlyForUser keeps responses out of caches that several users share. With Basic authentication, caches see that
// by themselves (RFC 9111 §3.5).
var onlyForUser, _ = exchange.NewEdit(nil, []exchange.Field{{Name: "Cache-Control", Value: "private"}}, nil)

// rulesOf returns what holds for mount m of site s, or, where m is nil, for requests that no mount fits. nil: nothing.
func rulesOf(s *Site, m *Mount) *rules {
	out, secure := merged(s, m, false), merged(s, m, true)
	if len(secure.headers) > len(out.headers) {
		out.secure = secure
	}
	if reflect.ValueOf(*out).IsZero() {
		return nil
	}
	return out
}

// merged returns rulesOf for requests over HTTPS alone, or for all others.
func merged(s *Site, m *Mount, secure bool) *rules {
	out := &rules{pages: s.Pages, log: s.AccessLog, unlog: s.NoAccessLog, errors: s.ErrorLog, number: s.ErrorLogNumber, name: s.canonical(), timeout: s.Timeout, maxBody: s.MaxBodySize}
	var edits exchange.Edits
	all := []*Rules{s.Rules}
	if m != nil {
		all = append(all, m.Rules)
	}
	for _, r := range all {
		if r == nil {
			continue
		}
		if r.edit != nil {
			out.headers = append(out.headers, r.edit)
		}
		if secure && r.editSecure != nil {
			edits = append(edits, r.editSecure)
		}
		if len(r.opt.Allow)+len(r.opt.Deny) > 0 {
			out.guard.Allow, out.guard.Deny = r.opt.Allow, r.opt.Deny
		}
		if r.opt.Auth != nil || r.opt.Login != nil || r.opt.NoLogin {
			out.auth, out.login = r.opt.Auth, r.opt.Login
		}
		if len(r.opt.Methods) > 0 {
			out.guard.Methods, out.guard.AllowField = r.opt.Methods, r.allow
		}
		if r.opt.Cert.Authorities != "" {
			out.guard.Cert = r.opt.Cert
		}
		if r.opt.Timeout != 0 {
			out.timeout = r.opt.Timeout
		}
		if r.opt.MaxBodySize != 0 {
			out.maxBody = r.opt.MaxBodySize
		}
	}
	out.headers = append(out.headers, edits...)
	if m != nil {
		m.adapt(out)
	}
	out.guard.Password = out.auth != nil || out.login != nil
	return out
}

// adapt changes the rules r of the mount as its options say.
func (m *Mount) adapt(r *rules) {
	if m.Login != nil {
		r.auth, r.login = nil, m.Login
	}
	switch {
	case m.Open:
		r.auth, r.login, r.guard = nil, nil, route.Guard{}
	case m.ToLogIn:
		r.auth, r.login, r.guard.Methods, r.guard.AllowField = nil, nil, nil, nil
	}
	if r.login != nil {
		r.local = m.LocalWithoutLogin
		r.headers = append(r.headers, onlyForUser)
	}
	if m.OwnPolicy { // pages of the server work only with their own
		r.headers = r.headers.Without("Content-Security-Policy", "Referrer-Policy")
	}
}

// canonical returns the first name that is no pattern, or "".
func (s *Site) canonical() string {
	for _, name := range s.Names {
		if !strings.Contains(name, "*") {
			return name
		}
	}
	return ""
}

// guards returns what package route has to know of r, which may be nil.
func (r *rules) guards() route.Guard {
	if r == nil {
		return route.Guard{}
	}
	return r.guard
}

// checkedLogin is what has been found out, beside the loop, about the credentials of a request.
type checkedLogin struct {
	with    *auth.Basic
	user    string
	verdict auth.Verdict
}

var retryAfter = []byte("Retry-After: 1\r\n")

// credentialFile is a file that clients are known by. Files are read again beside the loop.
type credentialFile interface {
	Fresh() bool // it has not changed since it was read; does not block
	Refresh()
}

// authenticate checks whether the client of x may go where its decision leads. refusal is what it gets instead, or nil. known is false if
// that takes long, to read a file or to check a password: it is done beside the loop, which resumes x.
func (s *Server) authenticate(x *Exchange) (refusal *exchange.Reply, known bool) {
	q := x.req
	var file credentialFile = x.rules.login
	if x.rules.login == nil {
		file = x.rules.auth
	}
	if q.refreshed != file && !file.Fresh() {
		x.Beside(file.Refresh, func(gone bool) {
			if q.refreshed = file; !gone {
				x.Resume()
			}
		})
		return nil, false
	}
	if x.rules.login != nil {
		return s.findSession(x), true
	}
	return s.checkPassword(x)
}

// findSession decides by the session of the request: its cookie.
func (s *Server) findSession(x *Exchange) (refusal *exchange.Reply) {
	l, q := x.rules.login, x.req
	secure := x.from.Scheme == "https"
	session := l.Session(q.Head, q.parsed.Fields, secure)
	if session == nil && x.rules.local && isLoopback(x.from.Addr) {
		return nil
	}
	if session == nil {
		return q.askToLogIn(x)
	}
	changes := !q.parsed.Safe || q.parsed.UpgradeTo.Len > 0
	if changes && auth.FromElsewhere(q.Head, q.parsed.Fields, string(x.from.AppendHost(nil, &q.parsed, q.Head))) {
		return &exchange.Reply{Status: 403, Text: "a page of another site has sent this request"}
	}
	x.logIn(session.User, exchange.Form)
	if cookie := l.Renew(session, secure); cookie != "" {
		x.renewal, _ = exchange.NewEdit(nil, []exchange.Field{{Name: "Set-Cookie", Value: cookie}}, nil) // no cookie of ours is wrong
	}
	return nil
}

func isLoopback(addr string) bool {
	a, err := netip.ParseAddr(addr)
	return err == nil && a.Unmap().IsLoopback()
}

// askToLogIn answers a client without a session: a browser that shows a page gets the form, others know what to do.
func (q *request) askToLogIn(x *Exchange) *exchange.Reply {
	if !q.parsed.Safe || q.parsed.UpgradeTo.Len > 0 || !q.wantsHTML() {
		return &exchange.Reply{Status: 401, Fields: []byte(auth.LoginChallenge)}
	}
	root := string(q.Path[:q.Root])
	target := string(q.parsed.Target.In(q.Head))
	if q.Hidden {
		target = root + target
	}
	return &exchange.Reply{Status: 303, Whole: true, Fields: []byte("Location: " + auth.LoginLocation(root, target) + "\r\nCache-Control: no-store\r\n")}
}

// checkPassword decides by the password of the request (Basic authentication).
func (s *Server) checkPassword(x *Exchange) (refusal *exchange.Reply, known bool) {
	a, q := x.rules.auth, x.req
	no := &exchange.Reply{Status: 401, Fields: a.Challenge()}
	credentials := q.credentials()
	if credentials == nil {
		return no, true
	}
	user, found := a.Known(credentials)
	if found == auth.Unknown && q.login.with == a {
		user, found = q.login.user, q.login.verdict
	}
	switch found {
	case auth.Right:
		x.logIn(user, exchange.Basic)
		return nil, true
	case auth.Wrong:
		return no, true
	case auth.Busy:
		return &exchange.Reply{Status: 503, Fields: retryAfter}, true
	}
	// While many requests arrive at once, the ends of their connections are not read yet, and would take the places of others.
	c := x.Conn()
	q.check = a.Check(auth.Origin{Addr: x.from.Addr, Conn: x.client, Ends: c != nil && c.Ends()}, credentials, func(user string, v auth.Verdict) {
		s.Set.Events.Post(func() { s.checked(x, q, checkedLogin{a, user, v}) })
	})
	return nil, false
}

// checked lets x go on, whose request was q, unless its client has left.
func (s *Server) checked(x *Exchange, q *request, found checkedLogin) {
	if x.req != q || q.check == nil {
		return
	}
	q.check, q.login = nil, found
	x.Resume()
}

// logIn notes the user of x.
func (x *Exchange) logIn(user string, by exchange.Login) {
	peer := *x.from
	peer.User, peer.Login = user, by
	x.peer = &peer
}
