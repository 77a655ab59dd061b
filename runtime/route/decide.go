package route

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"unsafe"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// Input is the input of Table.Decide. The slices of a Input must stay valid as long as the Decision.
type Input struct {
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

// A Decision is the result of Decide. Its slices refer to Input.Head until Keep is called, and its memory is reused
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
	Root     int // length of the prefix Input.Root at the start of Path
	Script   int // length of SCRIPT_NAME, including Input.Root
	// a proxy had removed the prefix Input.Root from the request, and Decide has added this prefix to Path again
	Hidden bool

	Rewritten bool
	Head      []byte // Input.Head, followed by the query if it was rewritten

	table   *Table
	request Input
	rounds  int
	scratch struct{ resolved, merged, outer, outerResolved, reversed []byte }
	cursors []cursor // positions of the path in the indexes of patterns
}

var (
	allowAll = []byte("Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n")
	slash    = []byte("/")
)

// Decide stores the decision about r in d. If Decide rewrites the path, it may also change r.Parsed.Query.
func (t *Table) Decide(d *Decision, r Input) {
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
	if d.Site = 0; t.hosts != nil {
		d.Site = t.hosts.site(&d.request)
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

func (d *Decision) IsFor(t *Table) bool { return d.table == t }

// Admit is called after NeedsAdmission if the client has access.
func (d *Decision) Admit() {
	if d.Mount < 0 {
		d.refuse(404)
		return
	}
	m := &d.table.sites[d.Site].mounts[d.Mount]
	if d.Outcome = m.outcome; m.Rewrite != nil && d.rewrite(m) {
		d.follow()
	}
}

// Skip must be called after NeedsLookup if the mount has no file for the path.
func (d *Decision) Skip() { d.follow() }

// Keep copies Head and Path, so that d no longer depends on the memory of Input.Head. d still depends on
// Input.Parsed.
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

// follow routes the request to the first matching mount after the current mount.
func (d *Decision) follow() {
	site := &d.table.sites[d.Site]
	own := d.own()
	at := d.find(site.index, own)
	for d.Mount = d.next(site.index, at); d.Mount >= 0; d.Mount = d.next(site.index, at) {
		m := &site.mounts[d.Mount]
		script, ok := m.fits(own)
		if !ok || m.Plain && d.request.Client.HTTPS {
			continue
		}
		d.Script = d.Root + script
		if m.guarded && !d.pass(&m.Guard) {
			return
		}
		if d.Outcome = m.outcome; m.Rewrite == nil || !d.rewrite(m) {
			return
		}
		own = d.own()
		at = d.find(site.index, own)
	}
	if d.pass(&site.guard) {
		d.refuse(404)
	}
}

// find returns the position of a path in the index of the mounts, and sets the cursors for mounts with patterns.
func (d *Decision) find(x index, path []byte) (position int) {
	position, d.cursors = x.find(path), d.cursors[:0]
	for i := position; i >= 0; i = x[i].parent {
		if x[i].last != nil {
			last := path[bytes.LastIndexByte(path, '/')+1:]
			d.cursors = x[i].last.cursors(d.cursors, last, &d.scratch.reversed)
		}
		if x[i].segments != nil {
			for segment := range bytes.SplitSeq(path, slash) {
				d.cursors = x[i].segments.cursors(d.cursors, segment, &d.scratch.reversed)
			}
		}
	}
	return position
}

// next returns the first mount after the current mount that the path can match, or -1.
func (d *Decision) next(x index, position int) int {
	first := x.next(position, d.Mount)
	for i := range d.cursors {
		if m := d.cursors[i].next(d.Mount); m >= 0 && (first < 0 || m < first) {
			first = m
		}
	}
	return first
}

// own returns the path below Root. A request for Root itself may have a path with or without a trailing slash.
func (d *Decision) own() []byte {
	if own := d.Path[d.Root:]; len(own) > 0 || d.Root == 0 {
		return own
	}
	return slash
}

// fits reports whether the mount handles the path, which has the prefixes Prefix and Within.
func (m *compiled) fits(path []byte) (script int, ok bool) {
	under := func(prefix string) bool { return len(path) >= len(prefix) && string(path[:len(prefix)]) == prefix }
	if slices.ContainsFunc(m.Except, under) {
		return 0, false
	}
	if m.Having != "" && find(m.Having, path, strings.LastIndexByte(m.Within, '/')+1, false) < 0 {
		return 0, false
	}
	if m.Match != "" {
		end := find(m.Match, path, len(m.Prefix), !m.Inner)
		if end < 0 {
			return 0, false
		}
		if m.Inner {
			return end, true
		}
	}
	// SCRIPT_NAME is the prefix of the mount, shortened to whole segments and without a trailing slash, because
	// PATH_INFO must be empty or begin with a slash (PEP 3333).
	n := len(m.Prefix)
	if n > 0 && m.Prefix[n-1] != '/' && (len(path) == n || path[n] == '/') {
		return n, true
	}
	n = max(0, strings.LastIndexByte(m.Prefix, '/'))
	for n > 0 && m.Prefix[n-1] == '/' {
		n--
	}
	return n, true
}

// find returns the end of the first segment in name[start:] that matches the pattern, or -1. If whole is true, only the
// last segment may match.
func find(pattern string, name []byte, start int, whole bool) int {
	end := start - 1
	for segment := range bytes.SplitSeq(name[start:], slash) {
		end += 1 + len(segment)
		if len(segment) == 0 || whole && end < len(name) {
			continue
		}
		if ok, _ := path.Match(pattern, unsafe.String(unsafe.SliceData(segment), len(segment))); ok {
			return end
		}
	}
	return -1
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

// Asked returns the path for an application. This path contains the empty segments that the client sent, except in
// SCRIPT_NAME.
func (d *Decision) Asked() []byte {
	if d.Resolved != nil && bytes.HasPrefix(d.Resolved, d.Path[:d.Script]) {
		return d.Resolved
	}
	return d.Path
}
