package cache

import (
	"bytes"
	"regexp"
	"slices"
	"sync"
	"time"

	"fapws/runtime/compress"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/source/static"
)

// terms contains the conditions for keeping a response, with times in nanoseconds.
type terms struct {
	keep bool
	// the response is not stored because of fields in this request; responses to other requests may be stored
	personal bool

	// the response is for all clients, even for requests with Cookie or Authorization
	public   bool
	fresh    int64 // lifetime in nanoseconds
	stale    int64
	ifError  int64
	down     int64
	validate bool // the handler must confirm the page for each request
	age      int64
	vary     []string
	plain    bool // the body may be sent in another coding
}

const second = int64(1e9)

const (
	maxVary     = 8
	maxVaryName = 64
	maxTags     = 32

	// maximum length of all cache directives in bytes, which limits the time for parsing them on the event loop
	maxDirectives = 4 << 10

	// downFor is how long a stale page is sent while its origin is unreachable (RFC 9111 §4.2.4 has no limit).
	downFor = int64(24 * time.Hour)
)

// understood contains the statuses whose caching requirements are implemented, for must-understand (RFC 9111 §5.2.2.3).
// heuristic contains the statuses of responses that may be kept without an explicit lifetime (RFC 9110 §15.1).
var (
	understood = []int{200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 451, 501}
	heuristic  = []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}
)

// judge decides whether and how long a response is kept (RFC 9111 §3, §3.5, §4.2); personal is the result of
// Compiled.personal for the request.
func (c *Compiled) judge(personal bool, status int, f *answerFields) (t terms) {
	cc := f.control
	if status < 200 || status == 206 || status == 304 || f.never || cc.has("private") || f.setCookie || f.stream {
		return t
	}
	knows := slices.Contains(understood, status)
	if understands := cc.has("must-understand"); understands && !knows || cc.has("no-store") && !understands {
		return t
	}
	lifetime, ok := c.lifetime(status, f)
	if !ok {
		return t
	}
	t.age = max(f.age, f.apparent) * second
	t.fresh = max(lifetime-t.age, 0)
	t.stale, t.ifError, t.down = c.staleness(cc)
	if cc.has("no-cache") {
		t.fresh, t.stale, t.ifError, t.down = 0, 0, 0, 0
	}
	if t.fresh == 0 && t.stale == 0 {
		if t.validate = status == 200 && (isTag(f.etag) || isDate(f.date)); !t.validate {
			return terms{}
		}
	}
	t.vary = slices.DeleteFunc(slices.Clone(f.vary), func(name string) bool { return slices.Contains(c.Vary, name) })
	t.plain = !f.coded && !cc.has("no-transform")
	t.public = cc.has("public", "s-maxage")
	t.personal = !t.public && personal
	t.keep = !t.personal
	return t
}

// lifetime returns the lifetime of a response, in nanoseconds. ok is false if the response has neither an explicit nor
// a heuristic lifetime.
func (c *Compiled) lifetime(status int, f *answerFields) (lifetime int64, ok bool) {
	cc := f.control
	switch {
	case cc.has("s-maxage"):
		return cc["s-maxage"] * second, true
	case cc.has("max-age"):
		return cc["max-age"] * second, true
	case f.expires >= 0:
		return min(max(f.expires-f.made, 0), int64(MaxTTL)/second) * second, true
	case c.TTL > 0 && slices.Contains(c.Status, status):
		return int64(c.TTL), true
	case cc.has("no-cache"): // never fresh, but can be kept and confirmed for each request
		return 0, true
	case c.Heuristic > 0 && (cc.has("public") || slices.Contains(heuristic, status)):
		// use a tenth of the time since the last change (RFC 9111 §4.2.2)
		if changed, ok := http1.ParseDate(f.date); ok {
			return min(max(f.made-changed, 0)*second/10, int64(c.Heuristic)), true
		}
	}
	return 0, false
}

// staleness returns how long a response may be sent after its lifetime: while a new response is fetched (stale),
// instead of an error (ifError), and instead of no response (outage). Stale responses are forbidden by must-revalidate
// and proxy-revalidate, and by s-maxage unless the response also has stale-while-revalidate or stale-if-error (RFC 9111
// §4.2.4, §5.2.2.10; RFC 5861).
func (c *Compiled) staleness(cc control) (stale, ifError, outage int64) {
	switch {
	case cc.has("must-revalidate", "proxy-revalidate"):
		return 0, 0, 0
	case cc.has("stale-while-revalidate"):
		stale = cc["stale-while-revalidate"] * second
	case !cc.has("s-maxage"):
		stale = int64(c.Stale)
	}
	ifError = max(cc["stale-if-error"]*second, stale)
	if outage = ifError; !cc.has("s-maxage") {
		outage = max(outage, downFor)
	}
	return stale, ifError, outage
}

// control maps the lower-case names of a response's cache directives (RFC 9111 §5.2.2, RFC 5861) to their seconds,
// which are meaningless for directives without an argument.
type control map[string]int64

func (c control) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { _, there := c[name]; return there })
}

// directive matches the first directive of a list: name, name=token or name="quoted, string". A quoted argument without
// a closing quote extends to the end of the list.
var directive = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)^\s*([^,=]*?)\s*(?:=[ \t]*("(?:[^"\\]|\\.)*"?[^,]*|[^,]*))?(?:,|$)`)
})

// add parses the value of a Cache-Control field. A directive that is invalid or repeated shortens the lifetime, and
// never extends it (RFC 9111 §4.2.1).
func (c control) add(value []byte) {
	for len(value) > 0 {
		m := directive().FindSubmatch(value)
		name, arg := string(bytes.ToLower(m[1])), bytes.TrimSpace(m[2])
		if quoted, ok := bytes.CutPrefix(arg, []byte{'"'}); ok {
			arg = bytes.TrimSuffix(quoted, []byte{'"'})
		}
		n := seconds(arg)
		if before, twice := c[name]; twice {
			n = min(n, before)
		}
		c[name] = n
		value = value[len(m[0]):]
	}
}

// seconds returns 0 for an invalid number of seconds, and at most MaxTTL (RFC 9111 §1.2.2).
func seconds(arg []byte) int64 {
	n, _ := static.ParseDigits(arg)
	return min(n, int64(MaxTTL)/second)
}

// Conditions returns the fields that make a request for the page conditional (RFC 9111 §4.3.1). The format is "Name:
// value" with a CRLF after each field. The result is nil if the page has no validator or its status is not 200.
func (p *Page) Conditions() (fields []byte) {
	if p.Status != 200 {
		return nil
	}
	if isTag(p.etag) {
		fields = append(append(append(fields, "If-None-Match: "...), p.etag...), "\r\n"...)
	}
	if isDate(p.date) {
		fields = append(append(append(fields, "If-Modified-Since: "...), p.date...), "\r\n"...)
	}
	return fields
}

// names reports whether a 304 with etag confirms the page. A 304 with a strong tag that differs from the page's tag
// refers to a different representation (RFC 9111 §4.3.4).
func (p *Page) names(etag []byte) bool {
	return len(etag) == 0 || len(p.etag) == 0 || bytes.HasPrefix(etag, []byte("W/")) ||
		bytes.Equal(etag, bytes.TrimPrefix(p.etag, []byte("W/")))
}

// update returns the fields of a page after a 304 (RFC 9111 §3.2). Fields of the 304 replace the page's fields of the
// same name, except for fields that describe the kept content. The Date of the page is never kept, because the age of
// the page is counted from the 304. A 304 without Date counts as generated when it arrived (RFC 9110 §6.6.1).
func (p *Page) update(fields []byte) []byte {
	stored := p.Fields[:p.own]
	merged := http1.AppendFields(make([]byte, 0, len(stored)+len(fields)), stored, func(name []byte) bool {
		return !p.fixed(name) && (http1.HasField(fields, name) || http1.EqualFold(name, "date"))
	})
	return http1.AppendFields(merged, fields, p.fixed)
}

func (p *Page) fixed(name []byte) bool {
	return isOne(name, "content-type", "content-encoding", "content-range", "content-length", "content-md5",
		"content-digest", "digest") || len(p.etag) > 0 && http1.EqualFold(name, "etag")
}

// Confirm ends the Fill after the handler has responded with h, a 304, to a request with Conditions. Confirm returns
// the updated page, which is kept if h allows it. shared is false if waiting requests must be sent to the handler.
func (f *Fill) Confirm(h *exchange.Head, now int64) (p *Page, shared bool) {
	s, old := f.s, f.old
	s.count[Revalidated]++
	got := readFields(h.Fields, now+s.ahead)
	if !old.names(got.etag) {
		f.end()
		return old, false
	}
	read := readFields(old.update(h.Fields), now+s.ahead)
	t := f.rule.judge(f.personal, old.Status, &read)
	p = newPage(&old.Head, &read, t, now)
	p.Body, p.HasDate, p.HasServer = old.Body, h.HasDate, old.HasServer || h.HasServer
	if len(p.tags) == 0 {
		p.tags = old.tags
	}
	if old.coded != nil && t.plain {
		f.vary(p, &t)
		p.coded = &coded{can: old.coded.can}
		for c, form := range old.coded.pages {
			if form != nil && form != old {
				p.coded.pages[c] = p.form(form.Body, compress.Coding(c))
				p.coded.size += p.coded.pages[c].size()
			}
		}
	}
	f.page = p
	if !t.keep || !f.move(t.vary) {
		f.refuse(t.personal, p.Status, now)
		if old.in != nil {
			s.drop(old.in)
		}
		return p, false
	}
	f.end()
	// do not replace a newer page
	if in := s.nodes[string(f.key)]; !f.purged && (in == nil || in.page == nil || in.page == old) {
		if old.in != nil && old.in != in {
			s.drop(old.in)
		}
		f.store()
	}
	return p, !p.validate
}
