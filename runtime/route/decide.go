package route

import (
	"bytes"
	"net/netip"
	"slices"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// Request is the input of a decision. Its slices have to live as long as the Decision.
type Request struct {
	Parsed *http1.Request
	Head   []byte     // spans of Parsed point into it
	Client *conn.Peer // as far as trusted proxies have named it

	Host  []byte // that the client asked for, where a trusted proxy has said so; nil: that of Parsed
	Root  string // decoded path below which clients see the server: "" or "/a/b"; a proxy may have taken it off
	Index string // appended to the path: the index of a folder that has been asked for
}

// Outcome is the result of a Decision.
type Outcome uint8

const (
	// Found: the mount answers.
	Found Outcome = iota

	// Refused: the answer is Decision.Status, with Fields and Text.
	Refused

	// NeedsPassword: the request may go on if the client's password is right (Admit).
	NeedsPassword

	// NeedsLookup: the mount, which is Optional, answers if it has something for the path; else
	// routing goes on (Skip).
	NeedsLookup
)

// Decision says where a request goes. Its slices point into Request.Head until Keep. A Decide for another request
// uses its memory again.
type Decision struct {
	Outcome Outcome

	Site  int // -1: no site has that host
	Mount int // of the site; -1: none

	Status int    // if Refused: 204, 400, 403, 404, 405, 421 or 500
	Fields []byte // with Status: "Name: value\r\n" ...
	Text   string // with Status: the text for the client; "": the phrase of the status
	Fault  string // why Status is 500: one line for the error log
	Cert   string // why the certificate of the client does not do: one line for the error log

	Path     []byte // canonical, as clients see it, or rewritten
	Resolved []byte // Path with the empty segments that the client has sent; nil: as Path
	Root     int    // length of the part before the server's own path in Path
	Script   int    // length of SCRIPT_NAME, Root included
	Hidden   bool   // the client's path has Root, and the request's has not

	Rewritten bool
	Head      []byte // Request.Head, with a query behind it if that was rewritten

	table   *Table
	request Request
	rounds  int // how often it was rewritten
	scratch struct{ resolved, merged, outer, outerResolved []byte }
}

var (
	allowAll = []byte("Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n")
	slash    = []byte("/")
)

// Decide makes d the decision about a request. A rewrite changes Parsed.Query.
func (t *Table) Decide(d *Decision, r Request) {
	d.table, d.request, d.Head = t, r, r.Head
	d.Outcome, d.Status, d.Fields, d.Text, d.Fault, d.Cert = Found, 0, nil, "", "", ""
	d.Mount, d.Script, d.rounds, d.Rewritten = -1, 0, 0, false
	d.Path, d.Resolved = r.Parsed.Path.In(d.Head), nil
	ok := r.Parsed.Plain || d.canonical()
	if d.Root, d.Hidden = len(r.Root), false; r.Root != "" {
		d.below(r.Root)
	}
	if r.Index != "" {
		d.Path, d.Resolved = append(bytes.Clone(d.Path), r.Index...), nil
	}
	host := r.Host
	if len(host) == 0 {
		if host = r.Parsed.Host.In(d.Head); r.Parsed.Authority.Len > 0 { // RFC 9112 §3.2.2: it wins
			host = r.Parsed.Authority.In(d.Head)
		}
	}
	if d.Site = t.site(host); d.Site < 0 {
		d.refuse(421)
		return
	}
	if !ok {
		d.refuse(400)
		d.Text = "dot segments of the path cannot be resolved"
		return
	}
	if own := d.Path[d.Root:]; len(own) == 1 && own[0] == '*' {
		d.refuse(204)
		d.Fields = allowAll
		return
	}
	d.follow()
}

// Of reports whether t has made d.
func (d *Decision) Of(t *Table) bool { return d.table == t }

// Admit goes on after NeedsPassword: the client has sent a valid password.
func (d *Decision) Admit() {
	if d.Mount < 0 {
		d.refuse(404)
	} else if d.enter() {
		d.follow()
	}
}

// Skip goes on after NeedsLookup: the mount has nothing for the path.
func (d *Decision) Skip() { d.follow() }

// Keep makes d independent of Request.Head: Head and Path are copies from now on. Request.Parsed has to live as long as d.
func (d *Decision) Keep() {
	d.Head, d.Path = bytes.Clone(d.Head), bytes.Clone(d.Path)
	d.request.Head = d.Head
}

// refuse makes d a refusal. It returns false, as enter does.
func (d *Decision) refuse(status int) bool {
	d.Outcome, d.Status = Refused, status
	return false
}

// canonical gives Path, which is as received, its canonical form, and sets Resolved; false: it has none.
func (d *Decision) canonical() bool {
	resolved, ok := http1.ResolvePath(d.scratch.resolved[:0], d.Path)
	if !ok {
		return false
	}
	d.scratch.resolved = resolved
	if d.Path = http1.MergeSlashes(d.scratch.merged, resolved); len(d.Path) < len(resolved) {
		d.scratch.merged, d.Resolved = d.Path, resolved
	}
	return true
}

// below puts root before the path, if a proxy has taken it off.
func (d *Decision) below(root string) {
	if http1.IsBelow(d.Path, root) {
		return
	}
	d.Hidden = true
	d.scratch.outer = append(append(d.scratch.outer[:0], root...), d.Path...)
	d.Path = d.scratch.outer
	if d.Resolved != nil {
		d.scratch.outerResolved = append(append(d.scratch.outerResolved[:0], root...), d.Resolved...)
		d.Resolved = d.scratch.outerResolved
	}
}

// follow goes through the mounts behind the present one.
func (d *Decision) follow() {
	site := &d.table.sites[d.Site]
	for d.Mount++; d.Mount < len(site.mounts); d.Mount++ {
		m := &site.mounts[d.Mount]
		own := d.Path[d.Root:] // the root itself is asked for with or without a slash
		if d.Root > 0 && len(own) == 0 {
			own = slash
		}
		script, ok := m.fits(own)
		if !ok || m.Plain && d.request.Client.Scheme == "https" {
			continue
		}
		d.Script = d.Root + script
		if m.guarded && !d.pass(&m.Guard) || !d.enter() {
			return
		}
	}
	d.Mount = -1
	if d.pass(&site.guard) {
		d.refuse(404)
	}
}

// pass reports whether g lets the request through. If not, d says why.
func (d *Decision) pass(g *Guard) bool {
	if status, text := g.check(d); status != 0 {
		if status == 405 {
			d.Fields = g.AllowField
		}
		d.Text, d.Cert = text, text
		return d.refuse(status)
	}
	if g.Password {
		d.Outcome = NeedsPassword
	}
	return !g.Password
}

// enter takes the present mount, which fits and which the client may use. It returns true if routing goes on.
func (d *Decision) enter() bool {
	m := &d.table.sites[d.Site].mounts[d.Mount]
	switch {
	case m.Rewrite != nil:
		return d.rewrite(m)
	case m.Optional:
		d.Outcome = NeedsLookup
	default:
		d.Outcome = Found
	}
	return false
}

// Asked returns the path for an application with the empty segments that the client has
// sent, unless what the mount stands at would read differently with them.
func (d *Decision) Asked() []byte {
	if d.Resolved != nil && bytes.HasPrefix(d.Resolved, d.Path[:d.Script]) {
		return d.Resolved
	}
	return d.Path
}

// AppendForwarded appends the fields of a request that Believe reads: its way through proxies, and its host. Most
// requests of a connection say the same, which is cheap to compare.
func AppendForwarded(dst []byte, r *http1.Request, head []byte) []byte {
	host := r.Authority // RFC 9112 §3.2.2: it wins
	if host.Len == 0 {
		host = r.Host
	}
	dst = append(append(append(dst, 'h'), host.In(head)...), '\n')
	if !r.Forwarded {
		return dst
	}
	for _, f := range r.Fields {
		name := f.Name.In(head)
		if i := slices.IndexFunc(forwardFields[:], func(known string) bool { return http1.EqualFold(name, known) }); i >= 0 {
			dst = append(append(append(dst, '0'+byte(i)), f.Value.In(head)...), '\n')
		}
	}
	return dst
}

// Believe returns what can be believed of forwarded fields, as AppendForwarded has them, of a request that a
// trusted proxy has sent, and the host that the request itself names.
func Believe(forwarded []byte, trusted func(netip.Addr) bool) (o Origin, host string) {
	var f forwarding
	for line := range bytes.Lines(forwarded) {
		value := string(line[1 : len(line)-1])
		if line[0] == 'h' {
			host = value
		} else {
			lines := &f[line[0]-'0']
			*lines = append(*lines, value)
		}
	}
	return f.origin(trusted), host
}

// ClientCert says which certificate a client has to show for a request (TLS client authentication, RFC 8446 §4.3.2).
type ClientCert struct {
	// Authorities are those that have to vouch for it, as conn.TLSState names them; "": no certificate is asked for.
	Authorities string
	Need        CertNeed
}

// CertNeed says which clients pass.
type CertNeed uint8

// The needs.
const (
	AnyClient    CertNeed = iota // also those with a certificate that is refused
	NoBadCert                    // those without a certificate, too
	VerifiedCert                 // those with a certificate that the authorities vouch for
)

// check returns the status and the text with which client is refused; 0: it passes. A connection that was made for another host, whose clients
// are asked for other certificates, is not one to believe: with 421 a browser opens another connection (RFC 9110 §15.5.20).
func (n *ClientCert) check(client *conn.Peer) (status int, text string) {
	t := client.TLS
	switch {
	case n.Authorities == "":
		return 0, ""
	case t == nil && n.Need == VerifiedCert:
		return 403, "a client certificate is required, so only HTTPS connections to this server are accepted"
	case t == nil:
		return 0, ""
	case t.Authorities != n.Authorities:
		return 421, "this connection was opened for another host, with other client certificates"
	case t.Refused != "" && n.Need != AnyClient:
		return 403, "the client certificate is refused: " + t.Refused
	case !t.Verified && n.Need == VerifiedCert:
		return 403, "a client certificate is required"
	}
	return 0, ""
}
