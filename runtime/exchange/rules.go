package exchange

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/metrics"
	"fapws/runtime/route"
)

// Rules apply to requests regardless of the source that answers them. The rules of a mount override the rules of its
// site. The zero value of each field has no effect. Use NewRules to create Rules.
type Rules struct {
	// Set contains fields for all responses, including errors. These fields replace fields of the same name.
	Set    []http1.HeaderField
	Add    []http1.HeaderField // for all responses; do not replace fields of the same name
	Remove []string            // names of fields that are removed from responses
	// SetSecure has the same effect as Set, but only for requests over HTTPS. A trusted proxy can report the scheme.
	SetSecure []http1.HeaderField
	// Allow and Deny are networks of clients; a trusted proxy can report the client. A client in Allow is allowed. A
	// client in Deny but not in Allow gets 403. A client in neither is allowed, unless Allow is set and Deny is empty.
	// A client of a unix socket has no address and belongs only to networks that contain all addresses.
	Allow, Deny []netip.Prefix
	// Methods are the allowed methods; GET also allows HEAD. A request with a method that is not allowed gets 405.
	Methods []string

	Cert route.ClientCert

	Limits []*RateLimit // nil means the limits of the site

	Access  Access // decides which users are allowed; nil allows everybody
	NoLogin bool   // users need not log in, even if the site requires a login

	MaxBodySize int64
	Timeout     time.Duration // timeout of a request; 0 means Config.Timeout, and a negative value means no timeout
	// EarlyHints are values of Link fields that the server sends in a 103 response to clients that understand it,
	// before the Handler of the mount answers.
	EarlyHints []string

	edit       *http1.Edit // made from Set, Add and Remove; nil if all three are empty
	editSecure *http1.Edit
	allow      []byte // line with the field Allow for a 405
	hints      []byte // lines with the Link fields for EarlyHints
}

// NewRules returns Rules with the exported fields of r, ready for use. The error has one line.
func NewRules(r Rules) (_ *Rules, err error) {
	if r.edit, err = http1.NewEdit(r.Set, r.Add, r.Remove); err != nil {
		return nil, err
	}
	if r.editSecure, err = http1.NewEdit(r.SetSecure, nil, nil); err != nil {
		return nil, err
	}
	if r.hints, err = http1.HintFields(r.EarlyHints); err != nil {
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

// rules contains the merged rules of a mount and its site.
type rules struct {
	site    *Site
	headers http1.Edits // edits for all requests, then those for HTTPS only; each with the site's edits first
	plain   int         // number of edits for all requests; requests without HTTPS get only headers[:plain]
	guard   route.Guard // the rules that package route checks
	limits  []*RateLimit
	access  Access
	local   bool // clients on this machine need not log in
	quiet   bool // requests get no line in an access log
	unseen  bool // requests do not appear in the metrics
	timeout time.Duration
	maxBody int64
	hints   []byte
	counts  *metrics.Route // counter of the requests; nil if they are not counted
}

var noRules = &rules{site: new(Site)}

// rulesOf returns the merged rules of the site s and the mount m. The mount is nil for requests that no mount accepts.
func rulesOf(s *Site, m *Mount) *rules {
	if m == nil {
		m = new(Mount)
	}
	out := &rules{site: s, local: m.exempt(FromLocalLogin), quiet: m.exempt(FromAccessLog), unseen: m.exempt(FromMetrics)}
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
	case m.exempt(FromRestrictions):
		out.limits, out.access, out.guard = nil, nil, route.Guard{}
	case m.exempt(FromLogin):
		out.access, out.guard.Methods, out.guard.AllowField = nil, nil, nil
	}
	// Without this, a shared cache could give a response to anybody (RFC 9111 §3.5).
	if out.access != nil || out.guard.Cert.Authorities != "" && out.guard.Cert.Need != route.AnyClient {
		out.headers = append(out.headers, http1.Private)
	}
	out.plain = len(out.headers)
	out.headers = append(out.headers, secure...)
	if m.exempt(FromPolicy) {
		out.headers = out.headers.Without("Content-Security-Policy", "Referrer-Policy")
	}
	out.guard.Admission = out.access != nil || len(out.limits) > 0
	return out
}

func (s *Site) ownsLog() bool { return s.AccessLog != nil || s.NoAccessLog }

// A RateLimit limits how often a client may send requests. Several mounts can share a RateLimit.
type RateLimit struct {
	// Take counts the request of x, and returns a reply if the request exceeds the limit, or nil. Take is called on the
	// event loop, once for each request of a client. Take uses the fields Head, Parsed, Path and Peer of x.Req.
	Take func(x *Exchange) *Reply

	OfUser bool // Take is called after the login, not before the login
	DryRun bool // requests that exceed the limit are counted and logged, but not rejected
}

// admit calls Access.Admit and returns its results. It checks rate limits first, because a password check is slow.
func (r *rules) admit(x *Exchange) (refusal *Reply, running Check) {
	if refusal = r.exceeded(x, false); refusal != nil {
		return refusal, nil
	}
	if r.access != nil {
		if o := x.client.subrequest; o != nil && o.Own {
			x.LogIn(OwnUser, r.access.By())
		} else if refusal, running = r.access.Admit(x); refusal != nil || running != nil {
			return refusal, running
		}
		x.Req.Peer = x.from
	}
	return r.exceeded(x, true), nil
}

// exceeded calls Take for each limit that has not yet counted the request, and returns the reply of the first exceeded
// limit, or nil. A limit can have counted the request before a suspension or for an earlier mount.
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
		if r.counts != nil {
			r.counts.Limited()
		}
		if !l.DryRun {
			return refusal
		}
	}
	return nil
}

// Access determines which users may use a mount. The methods of Access are called on the event loop.
type Access interface {
	// Admit decides whether the client of x has access. Admit uses the fields Head, Parsed, Path and Peer of x.Req.
	// refusal is the reply to a client without access, or nil. Before Admit accepts a user, it calls Exchange.LogIn. If
	// a file must first be read or a password checked, a goroutine does this work, and Admit returns a Check, which
	// becomes x.Check. Afterwards the loop resumes x and calls Admit again.
	Admit(x *Exchange) (refusal *Reply, running Check)

	By() Login
	// Named returns the user name in a request, or "". Named does not check the password.
	Named(head []byte, fields []http1.Field) string
}

// Check is a running check of an Access, or its result (see Exchange.Check).
type Check interface {
	Cancel() // called when the client has disconnected
	Defer()  // called when the client has probably disconnected
}

func (x *identity) LogIn(user string, method Login) {
	peer := *x.from
	peer.User, peer.Login = user, method
	x.from = &peer
}

func (x *identity) SetCookie(value string) {
	// the error is nil, because the server's cookies are valid fields
	x.renewal, _ = http1.NewEdit(nil, []http1.HeaderField{{Name: "Set-Cookie", Value: value}}, nil)
}

func (x *identity) LocalNeedsNoLogin() bool { return x.rules.local }
