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

// Rules say what holds for requests whatever answers them. What a mount says
// goes before what its site says. The zero value of each means nothing. NewRules makes them.
type Rules struct {
	Set    []Field  // fields of all responses, errors too; they replace those of the same name
	Add    []Field  // fields beside those of the same name
	Remove []string // names of fields that responses do not have

	// SetSecure is as Set, for responses to requests that have come over HTTPS, as far as trusted proxies say.
	SetSecure []Field

	// Allow and Deny are networks of the client, as trusted proxies report it. A client in
	// Allow is allowed; one that is only in Deny gets 403; one in neither is allowed,
	// unless Deny is empty and Allow is not. A client without an address, of a unix socket,
	// is only in networks that have all addresses.
	Allow, Deny []netip.Prefix

	// Methods are the allowed ones (405 for others); GET allows HEAD.
	Methods []string

	Cert route.ClientCert // that clients have to show

	Access  Access // who may have what these rules are for; nil: everybody
	NoLogin bool   // no user has to log in, whatever the site says

	MaxBodySize int64         // as in Config
	Timeout     time.Duration // as in Config; below zero: none

	edit       *Edit  // of Set, Add and Remove; nil: none
	editSecure *Edit  // of SetSecure; nil: none
	allow      []byte // the Allow field of a 405, with its line
}

// NewRules makes rules of r ready for use. The error is one line.
func NewRules(r Rules) (_ *Rules, err error) {
	if r.edit, err = newEdit(r.Set, r.Add, r.Remove); err != nil {
		return nil, err
	}
	if r.editSecure, err = newEdit(r.SetSecure, nil, nil); err != nil {
		return nil, err
	}
	for _, method := range r.Methods {
		if method == "" || strings.ToUpper(method) != method || checkFieldName(method) != nil {
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

// rules are those of a mount and its site together, as exchanges have them.
type rules struct {
	site    *Site
	headers Edits         // the site's first
	plain   int           // how many of them are not only for requests over HTTPS
	guard   route.Guard   // what package route has to know
	access  Access        // nil: everybody may have it
	local   bool          // clients on this machine need no session
	timeout time.Duration // 0: that of Config
	maxBody int64         // 0: that of Config
}

// noRules are those of an exchange that is for no site, or not yet.
var noRules = &rules{site: new(Site)}

// onlyForUser keeps responses out of caches that several users share. With Basic authentication, caches see that
// by themselves (RFC 9111 §3.5).
var onlyForUser, _ = newEdit(nil, []Field{{Name: "Cache-Control", Value: "private"}}, nil)

// rulesOf returns what holds for mount m of site s, or, where m is nil, for requests that no mount fits.
func rulesOf(s *Site, m *Mount) *rules {
	if m == nil {
		m = new(Mount)
	}
	out := &rules{site: s, local: m.LocalWithoutLogin}
	var secure Edits
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
	}
	if m.Access != nil {
		out.access = m.Access
	}
	switch {
	case m.Open:
		out.access, out.guard = nil, route.Guard{}
	case m.ToLogIn:
		out.access, out.guard.Methods, out.guard.AllowField = nil, nil, nil
	}
	if out.access != nil && out.access.By() == Form {
		out.headers = append(out.headers, onlyForUser)
	}
	out.plain = len(out.headers)
	out.headers = append(out.headers, secure...)
	if m.OwnPolicy { // pages of the server work only with their own
		out.headers = out.headers.Without("Content-Security-Policy", "Referrer-Policy")
	}
	out.guard.Password = out.access != nil
	return out
}

// ownsLog reports whether the requests of the site are logged, or not logged, apart from others.
func (s *Site) ownsLog() bool { return s.AccessLog != nil || s.NoAccessLog }

// Access decides who may have what a mount answers: users, who log in. Its methods are called on the event loop.
type Access interface {
	// Admit decides about the client of x, of whose Req it uses Head, Parsed, Path and Peer: refusal is what that gets instead, or nil. Before,
	// it calls Exchange.LogIn for a user. known is false if that takes long, to read a file or to check a password: it is done beside the loop,
	// which resumes x, and Admit is called again.
	Admit(x *Exchange) (refusal *Reply, known bool)

	// By returns how users log in.
	By() Login

	// Named returns the user that a request names, rightly or not; "": none.
	Named(head []byte, fields []http1.Field) string
}

// Check is what an Access has begun for an exchange, or found out: Exchange.Check.
type Check interface {
	Cancel() // the client has left
	Defer()  // the client has probably left
}

// LogIn notes the user of x.
func (x *Exchange) LogIn(user string, by Login) {
	peer := *x.from
	peer.User, peer.Login = user, by
	x.peer = &peer
}

// SetCookie gives the response to x a field Set-Cookie, which replaces none.
func (x *Exchange) SetCookie(value string) {
	x.renewal, _ = newEdit(nil, []Field{{Name: "Set-Cookie", Value: value}}, nil) // no cookie of ours is wrong
}

// LocalNeedsNoLogin reports whether clients on this machine may go where the decision about x leads, whoever they are.
func (x *Exchange) LocalNeedsNoLogin() bool { return x.rules.local }

// Poster returns the function that runs another one on the event loop, soon. It is safe for concurrent use.
func (x *Exchange) Poster() func(func()) bool { return x.s.Set.Events.Post }
