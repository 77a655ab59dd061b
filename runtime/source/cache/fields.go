package cache

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/http1"
)

type answerFields struct {
	// Directives of CDN-Cache-Control if it is valid (RFC 9213 §2.2), otherwise of Cache-Control.
	control control

	age  int64 // value of Age in seconds; -1 if missing
	made int64 // Date, in seconds since 1970
	// seconds between Date and the arrival of the response, from 0 to MaxTTL (RFC 9111 §4.2.3)
	apparent int64
	expires  int64 // value of Expires in seconds since 1970; -1 if missing, 0 if invalid
	vary     []string
	// The response must not be kept, because of "Vary: *", or because Vary or the cache directives are too long.
	never bool

	setCookie bool
	stream    bool
	coded     bool // the body must not be sent in another coding
	kind      string
	etag      []byte
	date      []byte
	tags      []string

	fields []byte
}

// readFields reads the fields of a response that arrived at the time now, in nanoseconds since 1970. If the response
// has no Date, the time of its arrival is used.
func readFields(fields []byte, now int64) answerFields {
	f := answerFields{control: control{}, age: -1, made: now / second, expires: -1, fields: make([]byte, 0, len(fields))}
	var targeted []byte
	directives := 0
	for line := range bytes.Lines(fields) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimSpace(value)
		switch {
		case http1.EqualFold(name, "age"):
			// Use the first of several values (RFC 9111 §5.1).
			if first, _, _ := bytes.Cut(value, []byte{','}); f.age < 0 {
				f.age = seconds(bytes.TrimSpace(first))
			}
			continue // do not store these fields, which are different in each response
		case isOne(name, "fapws-cache", "trailer"): // a page has no trailers
			continue
		case http1.EqualFold(name, "fapws-cache-tags"):
			f.addTags(value)
			continue
		case http1.EqualFold(name, "cache-control"):
			if directives += len(value); directives <= maxDirectives {
				f.control.add(value)
			}
		case http1.EqualFold(name, "cdn-cache-control"):
			directives += len(value)
			targeted = append(append(targeted, ','), value...)
		case http1.EqualFold(name, "expires"):
			at, ok := http1.ParseDate(value)
			if !ok || f.expires >= 0 { // a repeated field is an error (RFC 9111 §4.2.1)
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
		case http1.EqualFold(name, "set-cookie") && bytes.HasPrefix(value, []byte(http1.UpstreamCookie)):
			continue // do not store the field, because other clients must not receive it
		case isOne(name, "set-cookie", "set-cookie2"):
			f.setCookie = true
		case isOne(name, "content-encoding", "content-md5", "content-digest", "digest"):
			f.coded = true
		case http1.EqualFold(name, "content-type"):
			f.kind = string(value)
			f.stream = http1.HasPrefixFold(value, "text/event-stream") || http1.HasPrefixFold(value, "multipart/x-mixed-replace")
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
	if directives > maxDirectives {
		f.never = true
		return f
	}
	if len(targeted) > 0 {
		if own := (control{}); own.setTargeted(targeted[1:]) {
			if f.control.has("no-transform") {
				own["no-transform"] = 0
			}
			f.control, f.expires = own, -1
		}
	}
	return f
}

func isOne(name []byte, names ...string) bool {
	return slices.ContainsFunc(names, func(one string) bool { return http1.EqualFold(name, one) })
}

func (f *answerFields) addTags(value []byte) {
	for _, tag := range strings.Split(string(value), ",") {
		if tag = strings.TrimSpace(tag); tag != "" && len(f.tags) < maxTags {
			f.tags = append(f.tags, tag)
		}
	}
}

func isTag(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("W/"))
	return len(b) >= 2 && b[0] == '"' && bytes.IndexByte(b[1:], '"') == len(b)-2
}

func isDate(b []byte) bool {
	_, ok := http1.ParseDate(b)
	return ok
}

// appendNames appends the names in a Vary field to a list. appendNames returns false if the response must not be kept:
// if there are too many names, a name that is invalid or in ofClient, or "*", with which the response suits no other
// request.
func appendNames(to []string, value string) ([]string, bool) {
	for _, name := range strings.Split(value, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case name == "":
			continue
		case name == "*", slices.Contains(ofClient, name), !httpguts.ValidHeaderFieldName(name),
			len(name) > maxVaryName, len(to) == maxVary:
			return nil, false
		}
		to = append(to, name)
	}
	return to, true
}

// ofClient lists request fields that package proxy adds to describe the client. These fields are not part of the key,
// so a response is not kept if its Vary names one of them.
var ofClient = []string{"forwarded", "x-forwarded-for", "x-real-ip", "remote-user", "client-cert", "client-cert-chain"}

// setTargeted parses the lines of CDN-Cache-Control, joined with commas, as a dictionary of structured fields (RFC 9213
// §2.1). If the value is empty or invalid, ok is false, the field must be ignored, and the contents of c are undefined.
// A directive whose value has the wrong type is ignored.
func (c control) setTargeted(value []byte) (ok bool) {
	value = bytes.TrimLeft(value, " ")
	for more := true; more; {
		m := member().FindSubmatch(value)
		if m == nil {
			return false
		}
		name, item := string(m[1]), string(m[2])
		number, err := strconv.ParseInt(item, 10, 64)
		switch isNumber := slices.Contains(numbers, name); {
		case isNumber && err == nil:
			c[name] = min(max(number, 0), int64(MaxTTL)/second)
		case isNumber:
		// the values of no-cache and private may be lists of field names, which this cache ignores
		case err != nil && item != "?0":
			c[name] = 0
		default:
			delete(c, name)
		}
		value, more = value[len(m[0]):], len(m[3]) > 0
	}
	return true
}

var numbers = []string{"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"}

// member matches the first member of a dictionary of structured fields (RFC 9651 §4.2.2). It captures the key, the item
// (empty for a list of items), and the following comma.
var member = sync.OnceValue(func() *regexp.Regexp {
	const (
		key    = `[a-z*][a-z0-9_.*-]*`
		number = `-?[0-9]{1,12}\.[0-9]{1,3}|@?-?[0-9]{1,15}`
		text   = `"(?:[ !#-\[\]-~]|\\["\\])*"|\?[01]|:[A-Za-z0-9+/=]*:`
		token  = `[A-Za-z*][A-Za-z0-9!#$%&'*+.^_\x60|~:/-]*`
		item   = `(?:` + number + `|` + text + `|` + token + `)`
		params = `(?:; *` + key + `(?:=` + item + `)?)*`
		list   = `\( *(?:` + item + params + `(?: +` + item + params + `)* *)?\)`
	)
	return regexp.MustCompile(`^(` + key + `)(?:=(?:(` + item + `)|` + list + `))?` + params + `[ \t]*(,[ \t]*|$)`)
})
