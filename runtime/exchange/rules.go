package exchange

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/route"
)

// Rules apply to requests independent of their source. Rules of a mount override those of its site. The zero value of
// each field has no effect. Use NewRules to create Rules.
type Rules struct {
	// Fields of all responses, including errors. These fields replace fields of the same name.
	Set    []http1.HeaderField
	Add    []http1.HeaderField // fields that do not replace others of the same name
	Remove []string            // names of fields that are removed from responses

	// SetSecure is like Set, for requests over HTTPS. The scheme may be from a trusted proxy.
	SetSecure []http1.HeaderField

	// Allow and Deny are networks of the client, which a trusted proxy may report. A client in Allow is allowed. A
	// client only in Deny gets 403. Clients in neither are allowed, unless only Allow is set. A client of a unix socket
	// has no address; only a network of all addresses contains it.
	Allow, Deny []netip.Prefix

	// Methods are the allowed methods. Requests with other methods get 405. GET allows HEAD.
	Methods []string

	Cert route.ClientCert

	Limits []*RateLimit // limits of the number of requests; nil means the limits of the site

	Access  Access // users that are allowed; nil allows everybody
	NoLogin bool   // users need not log in, even if the site requires a login

	MaxBodySize int64
	Timeout     time.Duration // 0 means Config.Timeout; negative means no timeout

	// EarlyHints are values of Link in a 103 response that is sent when a request for a Handler arrives, if the client
	// understands it.
	EarlyHints []string

	edit       *http1.Edit // made from Set, Add and Remove, or nil
	editSecure *http1.Edit
	allow      []byte // value of the field Allow in a 405
	hints      []byte // the fields Link made from EarlyHints
}

// NewRules returns r ready for use. The error has one line.
func NewRules(r Rules) (_ *Rules, err error) {
	if r.edit, err = http1.NewEdit(r.Set, r.Add, r.Remove); err != nil {
		return nil, err
	}
	if r.editSecure, err = http1.NewEdit(r.SetSecure, nil, nil); err != nil {
		return nil, err
	}
	if r.hints, err = newHints(r.EarlyHints); err != nil {
		return nil, err
	}
	for _, method := range r.Methods {
		if method == "" || strings.ToUpper(method) != method || http1.CheckFieldName(method) != nil {
			return nil, fmt.Errorf("%q is not a method (GET, POST, ...)", method)
		}
	}
	if len(r.Methods) > 0 {
		allowed := strings.Join(r.Methods, ", ")
		if slices.Contains(r.Methods, "GET") && !slices.Contains(r.Methods, "HEAD") {
			allowed += ", HEAD"
		}
		r.allow = []byte("Allow: " + allowed + "\r\n")
	}
	return &r, nil
}

// rules are the merged rules of a mount and its site.
type rules struct {
	site    *Site
	headers http1.Edits  // the edits of the site, then the edits of the mount
	plain   int          // the first plain headers apply without HTTPS
	guard   route.Guard  // the rules that package route checks
	limits  []*RateLimit // in addition to the guard
	access  Access       // nil allows everybody
	local   bool         // clients on this machine need no session
	quiet   bool         // requests have no line in an access log
	timeout time.Duration
	maxBody int64
	hints   []byte // the fields Link of early hints, or nil
}

var noRules = &rules{site: new(Site)}

// onlyForUser keeps responses out of shared caches. Responses to requests with Basic authentication do not need it
// (RFC 9111 §3.5).
var onlyForUser, _ = http1.NewEdit(nil, []http1.HeaderField{{Name: "Cache-Control", Value: "private"}}, nil)

// rulesOf returns the merged rules of site s and mount m. m is nil for requests that no mount accepts.
func rulesOf(s *Site, m *Mount) *rules {
	if m == nil {
		m = new(Mount)
	}
	out := &rules{site: s, local: m.LocalWithoutLogin, quiet: m.NoAccessLog}
	var secure http1.Edits
	for _, r := range [...]*Rules{s.Rules, m.Rules} {
		if r == nil {
			continue
		}
		if r.edit != nil {
			out.headers = append(out.headers, r.edit)
		}
		if r.editSecure != nil {
			secure = append(secure, r.editSecure)
		}
		if len(r.Allow)+len(r.Deny) > 0 {
			out.guard.Allow, out.guard.Deny = r.Allow, r.Deny
		}
		if r.Limits != nil {
			out.limits = r.Limits
		}
		if r.Access != nil || r.NoLogin {
			out.access = r.Access
		}
		if len(r.Methods) > 0 {
			out.guard.Methods, out.guard.AllowField = r.Methods, r.allow
		}
		if r.Cert.Authorities != "" {
			out.guard.Cert = r.Cert
		}
		out.timeout = cmp.Or(r.Timeout, out.timeout)
		out.maxBody = cmp.Or(r.MaxBodySize, out.maxBody)
		if r.hints != nil {
			out.hints = r.hints
		}
	}
	if m.Access != nil {
		out.access = m.Access
	}
	switch {
	case m.Open:
		out.limits, out.access, out.guard = nil, nil, route.Guard{}
	case m.ToLogIn:
		out.access, out.guard.Methods, out.guard.AllowField = nil, nil, nil
	}
	if out.access != nil && out.access.By() == Form {
		out.headers = append(out.headers, onlyForUser)
	}
	out.plain = len(out.headers)
	out.headers = append(out.headers, secure...)
	if m.OwnPolicy {
		out.headers = out.headers.Without("Content-Security-Policy", "Referrer-Policy")
	}
	out.guard.Admission = out.access != nil || len(out.limits) > 0
	return out
}

func (s *Site) ownsLog() bool { return s.AccessLog != nil || s.NoAccessLog }

// A RateLimit limits how often a client may send requests. A RateLimit is a pointer so that mounts can share it.
type RateLimit struct {
	// Take counts the request of x, and returns the reply to a request that exceeds the limit, or nil. Take is called
	// on the event loop once for each request of a client. Take uses Head, Parsed, Path and Peer of x.Req.
	Take func(x *Exchange) *Reply

	OfUser bool // Take is called after the login, otherwise before
	DryRun bool // requests that exceed the limit are only counted and logged
}

// admit decides whether the client of x has access. Limits come before the login, because a password check is slow.
// refusal and known are as in Access.Admit.
func (r *rules) admit(x *Exchange) (refusal *Reply, known bool) {
	if refusal = r.exceeded(x, false); refusal != nil {
		return refusal, true
	}
	if o := x.client.subrequest; r.access != nil && (o == nil || !o.Own) {
		if refusal, known = r.access.Admit(x); refusal != nil || !known {
			return refusal, known
		}
		x.Req.Peer = x.from
	}
	return r.exceeded(x, true), true
}

// exceeded asks the limits that were not asked yet: x may have been suspended, or several mounts may have them.
func (r *rules) exceeded(x *Exchange, ofUser bool) *Reply {
	for _, l := range r.limits {
		if l.OfUser != ofUser || x.client.Subrequest() || slices.Contains(x.req.limits, l) {
			continue
		}
		x.req.limits = append(x.req.limits, l)
		refusal := l.Take(x)
		if refusal == nil {
			continue
		}
		if x.counts != nil {
			x.counts.Limited()
		}
		if !l.DryRun {
			return refusal
		}
	}
	return nil
}

// Access decides which users may use a mount. The methods of Access are called on the event loop.
type Access interface {
	// Admit decides whether the client of x has access. Admit uses Head, Parsed, Path and Peer of x.Req. refusal is the
	// reply to a client without access, or nil. Before Admit accepts a user, Admit calls Exchange.LogIn. The result
	// known is false if a file must be read or a password checked first. This check happens on another goroutine.
	// Afterwards the loop resumes x and calls Admit again.
	Admit(x *Exchange) (refusal *Reply, known bool)

	// By returns the kind of login.
	By() Login

	// Named returns the user name in a request without checking the password, or "".
	Named(head []byte, fields []http1.Field) string
}

// Check is a running check or a result of an Access: see Exchange.Check.
type Check interface {
	Cancel() // the client has disconnected
	Defer()  // the client has probably disconnected
}

func (x *identity) LogIn(user string, by Login) {
	peer := *x.from
	peer.User, peer.Login = user, by
	x.from = &peer
}

func (x *identity) SetCookie(value string) {
	// cookies of the server are valid
	x.renewal, _ = http1.NewEdit(nil, []http1.HeaderField{{Name: "Set-Cookie", Value: value}}, nil)
}

// LocalNeedsNoLogin reports whether clients on this machine may access the mount of x without a login.
func (x *identity) LocalNeedsNoLogin() bool { return x.rules.local }
