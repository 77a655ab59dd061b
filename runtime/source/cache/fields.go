package cache

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/http1"
)

// answerFields is the fields of a response that matter to a cache. Slices are copies.
type answerFields struct {
	control control // of CDN-Cache-Control if that counts (RFC 9213 §2.2), else of Cache-Control

	age      int64 // seconds; -1: none
	made     int64 // Date, in seconds since 1970
	apparent int64 // seconds from Date until the response arrived, 0 to MaxTTL (RFC 9111 §4.2.3)
	expires  int64 // in seconds since 1970; -1: none, 0: one that is no date
	vary     []string
	never    bool // Vary makes every request another one, or has too many names

	setCookie bool
	stream    bool // a response without an end
	coded     bool // its bytes may not be sent in another coding
	kind      string
	etag      []byte
	date      []byte // Last-Modified
	tags      []string

	fields []byte // those to keep
}

// readFields reads the fields of a response that arrived at now, in nanoseconds since 1970. Without a Date it was made
// then.
func readFields(fields []byte, now int64) answerFields {
	f := answerFields{control: newControl(), age: -1, made: now / second, expires: -1, fields: make([]byte, 0, len(fields))}
	var targeted []byte
	for line := range bytes.Lines(fields) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimSpace(value)
		switch {
		case http1.EqualFold(name, "age"):
			// Of several values the first one counts (RFC 9111 §5.1).
			if first, _, _ := bytes.Cut(value, []byte{','}); f.age < 0 {
				f.age = seconds(bytes.TrimSpace(first))
			}
			continue // each answer gets its own
		case http1.EqualFold(name, "fapws-cache"):
			continue
		case http1.EqualFold(name, "fapws-cache-tags"):
			f.addTags(value)
			continue
		case http1.EqualFold(name, "trailer"): // a page has none
			continue
		case http1.EqualFold(name, "cache-control"):
			f.control.add(value)
		case http1.EqualFold(name, "cdn-cache-control"):
			targeted = append(append(targeted, ','), value...)
		case http1.EqualFold(name, "expires"):
			at, ok := http1.ParseDate(value)
			if !ok || f.expires >= 0 { // twice is a mistake (RFC 9111 §4.2.1)
				at = 0
			}
			f.expires = max(at, 0)
		case http1.EqualFold(name, "date"):
			if at, ok := http1.ParseDate(value); ok {
				f.made = at
			}
		case http1.EqualFold(name, "vary"):
			names, ok := appendNames(f.vary, string(value))
			f.vary, f.never = names, f.never || !ok
		case http1.EqualFold(name, "set-cookie"), http1.EqualFold(name, "set-cookie2"):
			f.setCookie = true
		case http1.EqualFold(name, "content-encoding"), http1.EqualFold(name, "content-md5"), http1.EqualFold(name, "content-digest"), http1.EqualFold(name, "digest"):
			f.coded = true
		case http1.EqualFold(name, "content-type"):
			f.kind = string(value)
			f.stream = hasPrefixFold(value, "text/event-stream") || hasPrefixFold(value, "multipart/x-mixed-replace")
		case http1.EqualFold(name, "etag"):
			f.etag = bytes.Clone(value)
		case http1.EqualFold(name, "last-modified"):
			f.date = bytes.Clone(value)
		}
		f.fields = append(f.fields, line...)
	}
	f.apparent = min(max(now/second-f.made, 0), int64(MaxTTL)/second)
	slices.Sort(f.vary)
	f.vary = slices.Compact(f.vary)
	if len(targeted) > 0 {
		if control := newControl(); control.setTargeted(targeted[1:]) {
			control.noTransform = control.noTransform || f.control.noTransform // it is for clients, too
			f.control, f.expires = control, -1
		}
	}
	return f
}

func (f *answerFields) addTags(value []byte) {
	for _, tag := range strings.Split(string(value), ",") {
		if tag = strings.TrimSpace(tag); tag != "" && len(f.tags) < maxTags {
			f.tags = append(f.tags, tag)
		}
	}
}

// validates reports whether a 304 can confirm the response: it has a validator that a request can name.
func (f *answerFields) validates() bool { return isTag(f.etag) || isDate(f.date) }

// isTag reports whether b is an entity tag (RFC 9110 §8.8.3).
func isTag(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("W/"))
	return len(b) >= 2 && b[0] == '"' && bytes.IndexByte(b[1:], '"') == len(b)-2
}

func isDate(b []byte) bool {
	_, ok := http1.ParseDate(b)
	return ok
}

// appendNames adds the members of a Vary field. false: no other request is like
// this one, or there are too many.
func appendNames(to []string, value string) ([]string, bool) {
	for _, name := range strings.Split(value, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case name == "":
			continue
		case name == "*", !httpguts.ValidHeaderFieldName(name), len(name) > maxVaryName, len(to) == maxVary:
			return nil, false
		}
		to = append(to, name)
	}
	return to, true
}

func hasPrefixFold(b []byte, lower string) bool {
	return len(b) >= len(lower) && http1.EqualFold(b[:len(lower)], lower)
}

// setTargeted reads the value of a targeted field, all lines of CDN-Cache-Control joined with commas. It is a
// dictionary of structured fields (RFC 9213 §2.1). ok is false if it is empty or not valid, and then it does not
// count; c is undefined. A directive whose value has another type than it should have is ignored.
func (c *control) setTargeted(value []byte) (ok bool) {
	p := structured(value)
	p.skip(" ")
	for len(p) > 0 {
		name := p.key()
		if len(name) == 0 {
			return false
		}
		item, number := booleanTrue, int64(0)
		if p.next('=') {
			if item, number = p.member(); item == invalid {
				return false
			}
		}
		if !p.parameters() {
			return false
		}
		if flag := c.flag(name); flag != nil {
			// no-cache and private may have names of fields, which makes no difference here.
			*flag = item == booleanTrue || item == other
		} else if n := c.number(name); n != nil && item == integer {
			*n = min(max(number, 0), int64(MaxTTL)/second)
		}
		p.skip(" \t")
		if len(p) == 0 {
			return true
		}
		if !p.next(',') {
			return false
		}
		p.skip(" \t")
		if len(p) == 0 {
			return false // a comma at the end
		}
	}
	return false
}

// structured is the rest of a structured field while it is parsed (RFC 9651 §4.2).
type structured []byte

// itemType is the type of an item, as far as it matters here.
type itemType uint8

const (
	invalid itemType = iota
	integer
	booleanTrue
	booleanFalse
	other
)

func (p *structured) next(b byte) bool {
	if len(*p) == 0 || (*p)[0] != b {
		return false
	}
	*p = (*p)[1:]
	return true
}

func (p *structured) skip(set string) { *p = bytes.TrimLeft(*p, set) }

func (p *structured) while(holds func(byte) bool) []byte {
	n := 0
	for n < len(*p) && holds((*p)[n]) {
		n++
	}
	got := (*p)[:n]
	*p = (*p)[n:]
	return got
}

func isLower(b byte) bool { return 'a' <= b && b <= 'z' }
func isDigit(b byte) bool { return '0' <= b && b <= '9' }
func isAlpha(b byte) bool { return isLower(b | 0x20) }

// key returns a key, or nothing if there is none (RFC 9651 §4.2.3.3).
func (p *structured) key() []byte {
	if len(*p) == 0 || !isLower((*p)[0]) && (*p)[0] != '*' {
		return nil
	}
	return p.while(func(b byte) bool { return isLower(b) || isDigit(b) || b == '_' || b == '-' || b == '.' || b == '*' })
}

// member parses an item or an inner list without its parameters.
func (p *structured) member() (itemType, int64) {
	if !p.next('(') {
		return p.item()
	}
	for {
		p.skip(" ")
		if p.next(')') {
			return other, 0
		}
		if item, _ := p.item(); item == invalid || !p.parameters() {
			return invalid, 0
		}
		if len(*p) == 0 || (*p)[0] != ' ' && (*p)[0] != ')' {
			return invalid, 0
		}
	}
}

// parameters skips the parameters of an item and reports whether they are valid.
func (p *structured) parameters() bool {
	for p.next(';') {
		p.skip(" ")
		if len(p.key()) == 0 {
			return false
		}
		if p.next('=') {
			if item, _ := p.item(); item == invalid {
				return false
			}
		}
	}
	return true
}

// item parses a bare item (RFC 9651 §4.2.3.1).
func (p *structured) item() (itemType, int64) {
	if len(*p) == 0 {
		return invalid, 0
	}
	switch b := (*p)[0]; {
	case b == '-' || isDigit(b):
		return p.numeric()
	case b == '@': // a date
		*p = (*p)[1:]
		if item, _ := p.numeric(); item != integer {
			return invalid, 0
		}
		return other, 0
	case b == '"':
		return p.text(), 0
	case b == '?':
		*p = (*p)[1:]
		switch {
		case p.next('1'):
			return booleanTrue, 0
		case p.next('0'):
			return booleanFalse, 0
		}
		return invalid, 0
	case b == ':': // bytes in base64
		*p = (*p)[1:]
		p.while(func(b byte) bool { return isAlpha(b) || isDigit(b) || b == '+' || b == '/' || b == '=' })
		if !p.next(':') {
			return invalid, 0
		}
		return other, 0
	case b == '*' || isAlpha(b):
		p.while(func(b byte) bool { return b == ':' || b == '/' || http1.IsTokenByte(b) || b == '*' })
		return other, 0
	}
	return invalid, 0
}

// numeric parses an integer, or a decimal, which is of no use here.
func (p *structured) numeric() (itemType, int64) {
	negative := p.next('-')
	digits := p.while(isDigit)
	if len(digits) == 0 || len(digits) > 15 {
		return invalid, 0
	}
	if p.next('.') {
		if fraction := p.while(isDigit); len(digits) > 12 || len(fraction) == 0 || len(fraction) > 3 {
			return invalid, 0
		}
		return other, 0
	}
	n := int64(0)
	for _, b := range digits {
		n = n*10 + int64(b-'0')
	}
	if negative {
		n = -n
	}
	return integer, n
}

// text parses a string.
func (p *structured) text() itemType {
	for s := (*p)[1:]; len(s) > 0; s = s[1:] {
		switch b := s[0]; {
		case b == '"':
			*p = s[1:]
			return other
		case b == '\\':
			if len(s) < 2 || s[1] != '"' && s[1] != '\\' {
				return invalid
			}
			s = s[1:]
		case b < ' ' || b >= 0x7f:
			return invalid
		}
	}
	return invalid
}
