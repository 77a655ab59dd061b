package cache

import (
	"bytes"
	"slices"
	"strings"

	"fapws/runtime/http1"
)

// Answer is the head of a handler's answer: what there is to say about whether
// it is kept.
type Answer struct {
	Status int
	Fields []byte // "Name: value\r\n" ...
	Length int64  // of the body, -1 if not known
}

// Asked is what of a request matters for that.
type Asked struct {
	Cookie        bool // it has a Cookie field
	Authorization bool // it has an Authorization field
}

// personal says whether the answer is for one person unless it says otherwise.
func (c *Compiled) personal(a Asked) bool {
	return a.Authorization || a.Cookie && !c.rule.IgnoreCookies
}

// terms are on what an answer is kept.
type terms struct {
	keep     bool
	personal bool // not kept only for what the request had; for others it may be

	public  bool  // also for who sends Cookie or Authorization
	fresh   int64 // nanoseconds from now; the next two follow it
	stale   int64
	ifError int64
	age     int64    // nanoseconds that it is old already
	vary    []string // in lower case, sorted, without the rule's
	tags    []string
	kind    string // Content-Type, if it is among the fields
	plain   bool   // may be sent in another coding
	fields  []byte
	etag    []byte
	date    []byte // Last-Modified
}

const second = int64(1e9)

const (
	maxVary     = 8
	maxVaryName = 64
	maxTags     = 32
)

// explicit are the statuses that an answer may ask to be kept with: final ones
// that need no more understanding (RFC 9111 §3).
var explicit = []int{200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 451, 501}

// judge says on what terms an answer is kept (RFC 9111 §3, §3.5, §4.2.1). now
// is in nanoseconds since 1970. Slices in the result are copies.
func (c *Compiled) judge(asked Asked, a *Answer, now int64) (t terms) {
	cc := newControl()
	var expires []byte
	has := struct{ expires, setCookie, stream, coded bool }{}
	date, ok := now/second, true
	t.fields = make([]byte, 0, len(a.Fields))
	for rest := a.Fields; len(rest) > 0; {
		var line []byte
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i+1], rest[i+1:]
		} else {
			line, rest = rest, nil
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimSpace(value)
		switch {
		case equalFold(name, "age"):
			t.age = max(t.age, seconds(value)*second)
			continue // each answer gets its own
		case equalFold(name, "fapws-cache"):
			continue
		case equalFold(name, "fapws-cache-tags"):
			for _, tag := range strings.Split(string(value), ",") {
				if tag = strings.TrimSpace(tag); tag != "" && len(t.tags) < maxTags {
					t.tags = append(t.tags, tag)
				}
			}
			continue
		case equalFold(name, "cache-control"):
			cc.add(value)
		case equalFold(name, "expires"):
			expires, has.expires = value, true
		case equalFold(name, "date"):
			if at, ok := http1.ParseDate(value); ok {
				date = at
			}
		case equalFold(name, "vary"):
			t.vary, ok = appendNames(t.vary, string(value))
			if !ok {
				return terms{}
			}
		case equalFold(name, "set-cookie"), equalFold(name, "set-cookie2"):
			has.setCookie = true
		case equalFold(name, "content-encoding"), equalFold(name, "content-md5"), equalFold(name, "content-digest"), equalFold(name, "digest"):
			has.coded = true
		case equalFold(name, "content-type"):
			t.kind = string(value)
			has.stream = hasPrefixFold(value, "text/event-stream") || hasPrefixFold(value, "multipart/x-mixed-replace")
		case equalFold(name, "content-range"):
			return terms{}
		case equalFold(name, "etag"):
			t.etag = bytes.Clone(value)
		case equalFold(name, "last-modified"):
			t.date = bytes.Clone(value)
		}
		t.fields = append(t.fields, line...)
	}
	slices.Sort(t.vary)
	t.vary = slices.DeleteFunc(slices.Compact(t.vary), func(name string) bool { return slices.Contains(c.vary, name) })
	if cc.private || has.setCookie || has.stream {
		return terms{}
	}
	switch {
	case cc.sMaxAge >= 0:
		t.fresh = cc.sMaxAge * second
	case cc.maxAge >= 0:
		t.fresh = cc.maxAge * second
	case has.expires:
		if at, ok := http1.ParseDate(expires); ok { // else it is no date, which means now
			t.fresh = min(max(at-date, 0), int64(MaxTTL)/second) * second
		}
	case c.rule.TTL > 0 && slices.Contains(c.rule.Status, a.Status):
		t.fresh = int64(c.rule.TTL)
	default:
		return terms{}
	}
	if !slices.Contains(explicit, a.Status) && !slices.Contains(c.rule.Status, a.Status) {
		return terms{}
	}
	t.fresh = max(t.fresh-t.age, 0)
	t.stale = cc.stale * second
	if cc.stale < 0 {
		t.stale = int64(c.rule.Stale)
	}
	t.ifError = max(cc.ifError*second, t.stale)
	if cc.mustRevalidate { // RFC 9111 §4.2.4
		t.stale, t.ifError = 0, 0
	}
	if t.fresh == 0 && t.stale == 0 {
		return terms{}
	}
	t.plain = !has.coded && !cc.noTransform
	t.public = cc.public || cc.sMaxAge >= 0
	t.personal = !t.public && c.personal(asked)
	t.keep = !t.personal
	return t
}

// appendNames adds the members of a Vary field. false: no other request is like
// this one, or there are too many.
func appendNames(to []string, value string) ([]string, bool) {
	for _, name := range strings.Split(value, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case name == "":
			continue
		case !isToken(name), len(name) > maxVaryName, len(to) == maxVary: // "*" is no token here
			return nil, false
		}
		to = append(to, name)
	}
	return to, true
}

func hasPrefixFold(b []byte, lower string) bool {
	return len(b) >= len(lower) && equalFold(b[:len(lower)], lower)
}
