package auth

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

type progress struct {
	of      refresher // the Basic or the Login that checks the request
	check   *Check
	verdict Verdict
}

func (p *progress) Cancel() {
	if p.check != nil {
		p.check.Cancel()
	}
}

func (p *progress) Defer() {
	if p.check != nil {
		p.check.Defer()
	}
}

// A refresher identifies clients with the help of a file. If the file has changed, the file is read again in the
// background.
type refresher interface {
	// Fresh reports, without blocking, whether the file is unchanged since it was read.
	Fresh() bool
	Refresh()
}

// progressOf returns the state of the check of x by a refresher, or nil if this check has not begun. If the refresher's
// file has changed, reads is true: a goroutine reads the file, and x is then resumed.
func progressOf(x *exchange.Exchange, source refresher) (p *progress, reads bool) {
	p, ok := x.Check.(*progress)
	switch {
	case ok && p.of == source:
		return p, false
	case source.Fresh():
		return nil, false
	}
	x.Offload(source.Refresh, func(gone bool) {
		if !gone {
			x.Resume()
		}
	})
	return &progress{of: source}, true
}

func (*Basic) By() exchange.Login { return exchange.Basic }

func (*Basic) Named(head []byte, fields []http1.Field) string {
	var buf [maxText]byte
	credentials, _ := http1.First(head, fields, "authorization")
	pair := decode(buf[:], credentials)
	user, _, _ := bytes.Cut(pair, []byte(":"))
	return string(user)
}

func (b *Basic) Admit(x *exchange.Exchange) (refusal *exchange.Reply, running exchange.Check) {
	p, reads := progressOf(x, b)
	if reads {
		return nil, p
	}
	var buf [maxText]byte
	credentials, _ := http1.First(x.Req.Head, x.Req.Parsed.Fields, "authorization")
	pair, found := decode(buf[:], credentials), Wrong
	if pair != nil {
		found = b.Known(pair)
	}
	if found == Unknown && p != nil {
		found = p.verdict
	}
	user, password, _ := bytes.Cut(pair, []byte(":"))
	switch found {
	case Right:
		x.LogIn(string(user), exchange.Basic)
		return nil, nil
	case Wrong:
		return &exchange.Reply{Status: 401, Fields: b.challenge}, nil
	case Busy:
		return &exchange.Reply{Status: 503, Fields: exchange.RetryAfter}, nil
	}
	// c.Ends asks the kernel whether the client has disconnected. The event loop may not know this yet.
	c, post := x.Conn(), x.Poster()
	p = &progress{of: b}
	p.check = b.Check(Origin{Addr: x.Req.Peer.Addr, Conn: c, Ends: c.Ends()}, string(user), string(password),
		func(v Verdict) {
			post(func() {
				if x.Check == exchange.Check(p) {
					p.check, p.verdict = nil, v
					x.Resume()
				}
			})
		})
	return nil, p
}

func (*Login) By() exchange.Login { return exchange.Form }

// Named returns "", because a request with a session cookie does not contain the user's name.
func (*Login) Named([]byte, []http1.Field) string { return "" }

// Admit checks the session in the cookie of the request.
func (l *Login) Admit(x *exchange.Exchange) (refusal *exchange.Reply, running exchange.Check) {
	if p, reads := progressOf(x, l); reads {
		return nil, p
	}
	r := x.Req
	secure := r.Peer.HTTPS
	changes := !r.Parsed.Safe || r.Parsed.UpgradeTo.Len > 0
	session := l.Session(r.Head, r.Parsed.Fields, secure)
	switch {
	case session == nil && x.LocalNeedsNoLogin() && isLoopback(r.Peer.Addr):
		return nil, nil
	case session == nil && (changes || !r.Parsed.HTML):
		return &exchange.Reply{Status: 401, Fields: []byte(loginChallenge)}, nil
	case session == nil: // the request is for a page: redirect the browser to the form
		root := string(r.Path[:r.Root])
		location := loginLocation(root, x.Prefix+string(r.Parsed.Target.In(r.Head)))
		return &exchange.Reply{Status: 303, Whole: true,
			Fields: []byte("Location: " + location + "\r\nCache-Control: no-store\r\n")}, nil
	case changes && FromElsewhere(r.Head, r.Parsed.Fields, string(r.Peer.AppendHost(nil, r.Parsed, r.Head))):
		return &exchange.Reply{Status: 403, Text: "a page of another site has sent this request"}, nil
	}
	x.LogIn(session.User, exchange.Form)
	if cookie := l.Renew(session, secure); cookie != "" {
		x.SetCookie(cookie)
	}
	return nil, nil
}

func isLoopback(addr string) bool {
	a, err := netip.ParseAddr(addr)
	return err == nil && a.Unmap().IsLoopback()
}

// Basic implements HTTP's Basic authentication (RFC 7617) with the passwords of Users, and is safe for concurrent use.
type Basic struct {
	*Users
	challenge []byte
}

const maxText = 1 << 10 // maximum length of decoded credentials, in bytes

// NewBasic returns a Basic for a realm, which browsers display; "" means "restricted".
func NewBasic(realm string, users *Users) (*Basic, error) {
	realm = cmp.Or(realm, "restricted")
	if strings.ContainsFunc(realm, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
		return nil, fmt.Errorf("the realm %q has a character that is not printable ASCII", realm)
	}
	realm = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm)
	return &Basic{users, []byte(`WWW-Authenticate: Basic realm="` + realm + `", charset="UTF-8"` + "\r\n")}, nil
}

// decode decodes credentials, the value of an Authorization field, into buf, and returns the pair "user:password", or
// nil if the credentials are invalid.
func decode(buf, credentials []byte) []byte {
	if len(credentials) > maxText || len(credentials) < 6 || !bytes.EqualFold(credentials[:6], []byte("basic ")) {
		return nil
	}
	n, err := base64.StdEncoding.Decode(buf, bytes.TrimSpace(credentials[6:]))
	colon := bytes.IndexByte(buf[:n], ':')
	if err != nil || colon <= 0 || bytes.ContainsFunc(buf[:colon], func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return nil
	}
	return buf[:n]
}
