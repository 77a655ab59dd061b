package route

import (
	"bytes"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

type Site struct {
	// Names are the hosts, in any case and without a port: "example.org", "*.example.org" (any depth), "example.*" or
	// "[2001:db8::1]". Only the first site may have no names. It also serves every host that
	// no site names.
	Names []string

	Mounts []Mount // the first mount that matches handles the request
	Guard  Guard   // guard for requests that match no mount
}

type Mount struct {
	// Prefix is a prefix of the canonical path and must be canonical itself.
	Prefix string
	// Within is a second prefix that the path must have, and that is not part of SCRIPT_NAME.
	Within string
	// Having, if not empty, is a pattern like Match that at least one segment of the path below Within must match.
	Having string

	// Match, if not empty, is a pattern for a segment in the syntax of path.Match, such as "*.php". If Inner is false,
	// the last segment of the path must match. If Inner is true, any segment below Prefix may match, and SCRIPT_NAME
	// ends with the matching segment.
	Match string
	Inner bool

	// Plain restricts the mount to requests without HTTPS; a trusted proxy can report the scheme.
	Plain bool

	Except []string // prefixes that the path must not have

	// Optional means that the mount may have no file for a path. In this case Decision.Skip continues with the next
	// mount.
	Optional bool

	// Rewrite, if not nil, changes the path, and routing continues with the next mount.
	Rewrite *Rewrite
	Guard   Guard
}

// A Guard checks whether a client may access a mount. The zero value admits every client.
type Guard struct {
	// Allow and Deny are networks of clients. A client in Allow is admitted. A client in Deny but not in Allow is
	// rejected (403). A client in neither is admitted, unless Allow is set and Deny is empty. A client of a unix socket
	// has no address and belongs only to networks that contain all addresses.
	Allow, Deny []netip.Prefix

	// Cert is the required client certificate. A client without this certificate gets 403, or 421 if its connection was
	// made for a different host.
	Cert ClientCert

	// Methods are the permitted methods. GET includes HEAD. If Methods is empty, all methods are permitted. A request
	// with a different method gets 405 with AllowField, a line of the form "Allow: ...".
	Methods    []string
	AllowField []byte

	// Admission means that the caller must also check the client (NeedsAdmission).
	Admission bool
}

func (g *Guard) restricts() bool {
	return len(g.Allow)+len(g.Deny)+len(g.Methods) > 0 || g.Cert.Authorities != "" || g.Admission
}

// A Table contains the sites. It is not safe for concurrent use.
type Table struct {
	sites []site
	hosts *hosts // nil if there is only one site
}

type site struct {
	mounts []compiled
	index  index // of mounts
	guard  Guard
}

type compiled struct {
	Mount
	guarded bool
	outcome Outcome // Found, or NeedsLookup for an Optional mount
}

// New returns a Table for sites, which must not be empty. The error has one line.
func New(sites []Site) (*Table, error) {
	t := &Table{sites: make([]site, len(sites))}
	for i := range sites {
		t.sites[i] = site{mounts: make([]compiled, len(sites[i].Mounts)), guard: sites[i].Guard}
		for k, m := range sites[i].Mounts {
			for _, pattern := range [...]string{m.Match, m.Having} {
				if err := checkPattern(pattern); err != nil {
					return nil, err
				}
			}
			outcome := Found
			if m.Optional {
				outcome = NeedsLookup
			}
			t.sites[i].mounts[k] = compiled{m, m.Guard.restricts(), outcome}
		}
		t.sites[i].index = newMountIndex(t.sites[i].mounts)
	}
	var err error
	t.hosts, err = newHosts(sites)
	return t, err
}

// check returns 0 if the guard admits the request, and otherwise the status of the response. text is set only if the
// client certificate is the reason. check does not check the password.
func (g *Guard) check(d *Decision) (status int, text string) {
	if len(g.Allow)+len(g.Deny) > 0 && !g.admits(d.request.Client.Addr) {
		return 403, ""
	}
	if g.Cert.Authorities != "" {
		if status, text = g.Cert.check(d.request.Client); status != 0 {
			return status, text
		}
	}
	if len(g.Methods) > 0 && !g.takes(d.request.Parsed.Method.In(d.Head)) {
		return 405, ""
	}
	return 0, ""
}

// admits reports whether a client with the address addr may access the mount. A client of a unix socket has the address
// "".
func (g *Guard) admits(addr string) bool {
	a, _ := netip.ParseAddr(addr)
	a = a.Unmap().WithZone("")
	if contains(g.Allow, a) {
		return true
	}
	return len(g.Deny) > 0 && !contains(g.Deny, a)
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool {
		return n.Contains(a) || n.Bits() == 0 && !a.IsValid()
	})
}

func (g *Guard) takes(method []byte) bool {
	return slices.ContainsFunc(g.Methods, func(one string) bool {
		return string(method) == one || one == "GET" && string(method) == "HEAD"
	})
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

// Foreign returns the first character of text that is literal here, but belongs to a regular expression or a path
// parameter in other servers, or "". text is a prefix or, if isPrefix is false, a pattern.
func Foreign(text string, isPrefix bool) string {
	signs := "^$|(){}<>"
	if isPrefix {
		signs += `*[]\`
	}
	if at := strings.IndexAny(text, signs); at >= 0 {
		return text[at : at+1]
	}
	return ""
}

// checkPattern returns a one-line error if the pattern is invalid.
func checkPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || strings.Contains(pattern, "/") {
		return fmt.Errorf("%q is not a file name pattern: %w", pattern, path.ErrBadPattern)
	}
	return nil
}

// hosts maps host names to the indexes of sites. As in nginx, an exact name precedes the longest matching
// "*.example.org", which precedes "example.*".
type hosts struct {
	exact   map[string]int
	wild    map[string]int
	scratch [256]byte
}

// maxHost limits the length of a host, in bytes; names in DNS have at most 253.
const maxHost = 255

// newHosts returns nil if every request belongs to the first site, or an error of one line.
func newHosts(sites []Site) (*hosts, error) {
	h := &hosts{exact: map[string]int{}, wild: map[string]int{}}
	for i := range sites {
		if len(sites[i].Names) == 0 {
			if i > 0 {
				return nil, fmt.Errorf("site %d of %d has no name; only the first site can serve all hosts", i+1,
					len(sites))
			}
		}
		for _, name := range sites[i].Names {
			if err := h.add(name, i); err != nil {
				return nil, err
			}
		}
	}
	if len(sites) < 2 {
		return nil, nil
	}
	return h, nil
}

func (h *hosts) add(name string, site int) error {
	key, err := HostName(name)
	if err != nil {
		return err
	}
	table := h.exact
	if rest := strings.Trim(key, "*"); rest != key {
		table, key = h.wild, rest
	}
	if other, taken := table[key]; taken && other != site {
		return fmt.Errorf("the host %q belongs to two sites", name)
	}
	table[key] = site
	return nil
}

// HostName normalizes a name for Site.Names, so that equivalent names become equal, or returns an error of one line.
func HostName(name string) (string, error) {
	key := strings.TrimSuffix(strings.ToLower(name), ".")
	bare := strings.TrimPrefix(key, "*.")
	if bare == key {
		bare = strings.TrimSuffix(key, ".*")
	}
	normal := string(NormalHost(nil, []byte(bare)))
	switch {
	case strings.HasPrefix(bare, "[") && http1.ValidHost([]byte(bare)) && strings.HasSuffix(bare, "]") && bare == key &&
		normal != "":
		return normal, nil
	case normal == bare && isDomain(bare):
		return key, nil
	}
	return "", fmt.Errorf("%q is not the name of a host (example.org, *.example.org, example.*, [2001:db8::1])", name)
}

func isDomain(name string) bool {
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// site returns the index of the site for r: the first one if no site names the host of r.
func (h *hosts) site(r *Input) int {
	host := r.Host
	if len(host) == 0 {
		if host = r.Parsed.Host.In(r.Head); r.Parsed.Authority.Len > 0 {
			host = r.Parsed.Authority.In(r.Head)
		}
	}
	if len(host) == 0 { // an HTTP/1.0 request may have no host
		return 0
	}
	return max(h.find(host), 0)
}

func (h *hosts) find(host []byte) int {
	name := NormalHost(h.scratch[:0], host)
	if site, ok := h.exact[string(name)]; ok {
		return site
	}
	for i := 1; i < len(name); i++ {
		if name[i] == '.' {
			if site, ok := h.wild[string(name[i:])]; ok {
				return site
			}
		}
	}
	for i := len(name) - 2; i >= 0; i-- {
		if name[i] == '.' {
			if site, ok := h.wild[string(name[:i+1])]; ok {
				return site
			}
		}
	}
	return -1
}

// NormalHost appends host, the value of a Host field, to dst in lower case, without the port and the trailing dot. An
// IPv6 literal gets its shortest form; a host that is too long is not appended.
func NormalHost(dst, host []byte) []byte {
	if len(host) > maxHost {
		return dst
	}
	if len(host) > 0 && host[0] == '[' {
		literal, _, _ := bytes.Cut(host[1:], []byte{']'})
		if a, err := netip.ParseAddr(string(literal)); err == nil && len(literal) < len(host)-1 {
			return append(a.AppendTo(append(dst, '[')), ']')
		}
		return dst
	}
	for _, c := range host {
		if c == ':' {
			break
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	if n := len(dst); n > 0 && dst[n-1] == '.' {
		dst = dst[:n-1]
	}
	return dst
}
