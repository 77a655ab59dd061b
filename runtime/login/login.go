package login

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"fapws/runtime/auth"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Login is what users of a site log in to. Its methods are safe for concurrent use.
type Login struct {
	users     *auth.Users
	state     *State
	idle, age time.Duration
	now       func() time.Time
	log       func(line string)
	event     func(client, line string)

	key    []byte // of sessions
	form   []byte // key of the form's tokens
	cookie string // name of the cookie, without a prefix
	looks  looks
	first  first

	verified verifiedTokens
	checking sync.Map       // connections with a form whose password is being checked
	failures logfile.Seldom // lines about them
}

// Options say how users log in.
type Options struct {
	Users *auth.Users
	State *State

	Idle time.Duration // a session ends that was not used for so long
	Age  time.Duration // a session ends, however much it was used

	Title string // heading of the form; "": "Log in"
	Logo  string // URL of an image above it, "data:image/png;base64,..."; "": none

	Run   string                    // a name of this run of the server, which its processes share; "": there is one process
	Log   func(line string)         // for the operator: how to make the first user
	Event func(client, line string) // a user has logged in or out, or has failed to
}

// Paths of the pages, below the root of a site. Both are responders: Form and Out.
const (
	FormPath = "/_fapws/login"
	OutPath  = "/_fapws/logout"
)

// New returns a Login. The error is one line.
func New(o Options) (*Login, error) {
	if o.Idle <= 0 || o.Age <= 0 {
		return nil, errors.New("a session has to live for some time")
	}
	path := o.Users.Path()
	l := &Login{
		users: o.Users, state: o.State, idle: o.Idle, age: o.Age, now: time.Now, log: o.Log, event: o.Event,
		key:    o.State.derive("sessions of " + path),
		form:   o.State.derive("forms of " + path),
		cookie: "fapws-" + hex.EncodeToString(o.State.derive("name of the cookie of " + path)[:4]),
		looks:  looks{title: o.Title, logo: o.Logo},
	}
	l.first = first{l: l, run: o.Run}
	return l, nil
}

// Announce shows the operator how to make the first user, if there is none.
func (l *Login) Announce() {
	if l.first.wanted() {
		l.first.announce()
	}
}

// Fresh reports whether users and sessions are as the files have them. Otherwise Refresh comes before Session. It does not
// block.
func (l *Login) Fresh() bool { return l.users.Fresh() && l.state.ended.fresh() }

// Refresh reads the files that have changed.
func (l *Login) Refresh() {
	l.users.Look()
	if err := l.state.ended.refresh(); err != nil {
		l.log("sessions that ended: " + err.Error())
	}
}

// Session returns the session that a request belongs to, nil without one. secure says that the request has come over
// HTTPS. It does not block.
func (l *Login) Session(head []byte, fields []http1.Field, secure bool) *Session {
	for token := range cookies(head, fields, l.sessionCookie(secure), minToken) {
		if s := l.open(token); s != nil {
			return s
		}
	}
	return nil
}

// Renew returns the value of a field Set-Cookie for the response to a request of s; "": the cookie need not change.
func (l *Login) Renew(s *Session, secure bool) string {
	later := l.renewed(s)
	if later == nil {
		return ""
	}
	return l.setSession(l.token(later), secure)
}

// Location returns the URL of the form, for a client that has asked for target and is sent back to it. root is the path
// below which clients see the site.
func Location(root, target string) string {
	to := root + FormPath
	if local(target) {
		to += "?next=" + escape(target)
	}
	return to
}

// Challenge is the field of a 401. Browsers do not know the scheme, and ask for no password themselves.
const Challenge = `WWW-Authenticate: Cookie realm="login"` + "\r\n"

// local reports whether a target is a path of this site, in every browser: they take "//host" and "/\host" for other
// sites, and skip control characters.
func local(target string) bool {
	if len(target) > maxTarget || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return false
	}
	for _, c := range []byte(target) {
		if c <= ' ' || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

const maxTarget = 2048

// FromElsewhere reports whether a browser has sent a request because a page of another origin told it to, as far as the
// browser says so: by Sec-Fetch-Site, or by Origin where it does not send that. host is what the client has asked for.
func FromElsewhere(head []byte, fields []http1.Field, host string) bool {
	if site := field(head, fields, "sec-fetch-site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	origin := field(head, fields, "origin")
	if origin == "" {
		return false // not a browser
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host == "" || !strings.EqualFold(plainHost(u.Host, u.Scheme), plainHost(host, u.Scheme))
}

// plainHost returns a host without the usual port of its scheme.
func plainHost(host, scheme string) string {
	switch scheme {
	case "http":
		return strings.TrimSuffix(host, ":80")
	case "https":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}

func field(head []byte, fields []http1.Field, name string) string {
	for _, f := range fields {
		if int(f.Name.Len) == len(name) && bytes.EqualFold(f.Name.In(head), []byte(name)) {
			return string(f.Value.In(head))
		}
	}
	return ""
}

func escape(s string) string { return url.QueryEscape(s) }
