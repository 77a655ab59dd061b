package route

import (
	"bytes"
	"net/netip"
	"slices"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// Request is the input of Table.Decide. The slices of a Request must stay valid as long as the Decision.
type Request struct {
	Parsed *http1.Request
	Head   []byte     // the spans of Parsed point into Head
	Client *conn.Peer // the client, according to trusted proxies

	// Host is the host that the client requested, as reported by a trusted proxy; nil means the host in Parsed.
	Host []byte
	// Root is the decoded path prefix below which clients reach the server: "" or "/a/b". A proxy may have removed this
	// prefix from the request.
	Root string
	// Index is the name of an index file, which is appended to the path of the requested directory; "" if there is
	// none.
	Index string
}

type Outcome uint8

const (
	// Found means that the mount handles the request.
	Found Outcome = iota

	// Refused means that no mount handles the request; the response is Decision.Status with Fields and Text.
	Refused

	// NeedsAdmission means that the caller must check the client's password and limits. If the client may access the
	// mount, the caller calls Admit, and the mount handles the request.
	NeedsAdmission

	// NeedsLookup means that the mount is Optional. If the mount has a file for the path, the mount handles the
	// request. Otherwise the caller must call Skip.
	NeedsLookup
)

// A Decision is the result of Decide. Its slices refer to Request.Head until Keep is called, and its memory is reused
// by the next call of Decide.
type Decision struct {
	Outcome Outcome

	Site  int // index of the site; -1 if no site has the requested host
	Mount int

	// status if the Outcome is Refused: 204, 400, 403, 404, 405, 421 or 500
	Status int
	Fields []byte // lines of the form "Name: value\r\n"
	Text   string // explanation for the client; "" means the phrase of Status
	Fault  string // reason for a status 500, in one line for the error log
	// reason why the client certificate was rejected, in one line for the error log
	Cert string

	// canonical path including Root, or the rewritten path
	Path []byte
	// Path before empty segments were removed, with its dot segments resolved; nil if equal to Path
	Resolved []byte
	Root     int // length of the prefix Request.Root at the start of Path
	Script   int // length of SCRIPT_NAME, including Request.Root
	// a proxy had removed the prefix Request.Root from the request, and Decide has added this prefix to Path again
	Hidden bool

	Rewritten bool
	Head      []byte // Request.Head, followed by the query if it was rewritten

	table   *Table
	request Request
	rounds  int
	scratch struct{ resolved, merged, outer, outerResolved []byte }
}

var (
	allowAll = []byte("Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n")
	slash    = []byte("/")
)

// Decide stores the decision about r in d. If Decide rewrites the path, it may also change r.Parsed.Query.
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
		if host = r.Parsed.Host.In(d.Head); r.Parsed.Authority.Len > 0 {
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

func (d *Decision) Of(t *Table) bool { return d.table == t }

// Admit is called after NeedsAdmission if the client has access.
func (d *Decision) Admit() {
	if d.Mount < 0 {
		d.refuse(404)
	} else if d.enter() {
		d.follow()
	}
}

// Skip must be called after NeedsLookup if the mount has no file for the path.
func (d *Decision) Skip() { d.follow() }

// Keep copies Head and Path, so that d no longer depends on the memory of Request.Head. d still depends on
// Request.Parsed.
func (d *Decision) Keep() {
	d.Head, d.Path = bytes.Clone(d.Head), bytes.Clone(d.Path)
	d.request.Head = d.Head
}

func (d *Decision) refuse(status int) bool {
	d.Outcome, d.Status = Refused, status
	return false
}

// canonical sets d.Path to the canonical form of the path, or returns false if the path has no canonical form.
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

func (d *Decision) follow() {
	site := &d.table.sites[d.Site]
	for d.Mount++; d.Mount < len(site.mounts); d.Mount++ {
		m := &site.mounts[d.Mount]
		// A request for Root itself may have a path with or without a trailing slash.
		own := d.Path[d.Root:]
		if d.Root > 0 && len(own) == 0 {
			own = slash
		}
		script, ok := m.fits(own)
		if !ok || m.Plain && d.request.Client.HTTPS {
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

func (d *Decision) pass(g *Guard) bool {
	if status, text := g.check(d); status != 0 {
		if status == 405 {
			d.Fields = g.AllowField
		}
		d.Text, d.Cert = text, text
		return d.refuse(status)
	}
	if g.Admission {
		d.Outcome = NeedsAdmission
	}
	return !g.Admission
}

// enter selects the current mount, and returns true if routing must continue with the next mount.
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

// Asked returns the path for an application. This path contains the empty segments that the client sent, except in
// SCRIPT_NAME.
func (d *Decision) Asked() []byte {
	if d.Resolved != nil && bytes.HasPrefix(d.Resolved, d.Path[:d.Script]) {
		return d.Resolved
	}
	return d.Path
}

// AppendForwarded appends the host and the forwarding fields of a request to dst, in the form that Believe reads.
// Callers call Believe only if the result differs from the result for the previous request of the connection.
func AppendForwarded(dst []byte, r *http1.Request, head []byte) []byte {
	host := r.Authority // Authority overrides Host (RFC 9112 §3.2.2)
	if host.Len == 0 {
		host = r.Host
	}
	dst = append(append(append(dst, 'h'), host.In(head)...), '\n')
	if !r.Forwarded {
		return dst
	}
	for _, f := range r.Fields {
		name := f.Name.In(head)
		if i := slices.IndexFunc(forwardFields[:],
			func(known string) bool { return http1.EqualFold(name, known) }); i >= 0 {
			dst = append(append(append(dst, '0'+byte(i)), f.Value.In(head)...), '\n')
		}
	}
	return dst
}

// Believe evaluates the output of AppendForwarded for a request from a trusted proxy. Believe returns the client that
// the trustworthy fields describe, and the host from the request itself: from its target or its Host field.
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

// ClientCert is the requirement of a client certificate (TLS client authentication, RFC 8446 §4.3.2).
type ClientCert struct {
	// Authorities is the name of the authorities that must have signed the certificate, as in conn.TLSState; "" if no
	// certificate is requested.
	Authorities string
	Need        CertNeed
}

// CertNeed determines which clients are admitted, depending on their certificates.
type CertNeed uint8

const (
	AnyClient CertNeed = iota // all clients are admitted, even with a rejected certificate
	NoBadCert
	VerifiedCert
)

// check returns 0 if the client is admitted, or the status and the text of the response. If the connection was made for
// a different host, which trusts other authorities, the status is 421. A browser then opens a new connection (RFC 9110
// §15.5.20).
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
