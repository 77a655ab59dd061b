package ssi

import (
	"encoding/base64"
	"html"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/backend"
	"fapws/runtime/http1"
	"fapws/runtime/source/programs"
)

// maxVariables limits the total size of all names and values in bytes, because a page could double the size of a value
// repeatedly.
const maxVariables = 1 << 20

// variables contains the variables that a page and its included pages share. The variables are in the order of their
// creation, and their names are case-insensitive.
type variables struct {
	began    time.Time
	modified time.Time // modification time of the outermost page

	// mu guards all fields below it. After a timeout, an included page may continue on its goroutine while the outer
	// page also runs.
	mu    sync.Mutex
	list  []*variableEntry
	index map[string]*variableEntry // by the name in lower case
	size  int
	// request fields on which the page depends; "*" if it depends on other things than fields
	vary []string
}

type variableEntry struct{ name, value string }

func (v *variables) put(name, value string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := strings.ToLower(name)
	one := v.index[key]
	size := v.size + len(value)
	if one == nil {
		size += 2*len(name) + 100
	} else {
		size -= len(one.value)
	}
	if size > maxVariables {
		return false
	}
	if one == nil {
		one = &variableEntry{name: name}
		v.index[key], v.list = one, append(v.list, one)
	}
	v.size, one.value = size, value
	return true
}

func (v *variables) get(name string) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if kind, field, _ := strings.Cut(strings.ToUpper(name), "_"); kind == "HTTP" {
		v.depend(strings.ReplaceAll(field, "_", "-"))
	} else if kind == "REMOTE" {
		v.vary = []string{"*"}
	}
	one := v.index[strings.ToLower(name)]
	if one == nil {
		return "", false
	}
	return one.value, true
}

// depend records that the page depends on a request field; the caller must hold v.mu.
func (v *variables) depend(field string) {
	const most = 20
	field = textproto.CanonicalMIMEHeaderKey(field)
	switch {
	case field == "Host" || slices.Contains(v.vary, field) || slices.Contains(v.vary, "*"):
	case len(v.vary) == most || !httpguts.ValidHeaderFieldName(field):
		v.vary = []string{"*"}
	default:
		v.vary = append(v.vary, field)
	}
}

// dependOn adds the request fields in the Vary field of an included response. dependOn omits Accept-Encoding, because
// includes are requested without codings.
func (v *variables) dependOn(vary []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for field := range strings.SplitSeq(strings.Join(vary, ","), ",") {
		if field = strings.TrimSpace(field); field != "" && !strings.EqualFold(field, "Accept-Encoding") {
			v.depend(field)
		}
	}
}

func (v *variables) varies() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(v.vary, ", ")
}

func (v *variables) each(f func(name, value string)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.vary = []string{"*"}
	for _, one := range v.list {
		f(one.name, one.value)
	}
}

// greenwich is the time zone that the format %Z shows as GMT.
var greenwich = time.FixedZone("GMT", 0)

func (v *variables) setTimes(format string) {
	v.put("DATE_LOCAL", formatTime(format, v.began.Local()))
	v.put("DATE_GMT", formatTime(format, v.began.In(greenwich)))
	v.put("LAST_MODIFIED", formatTime(format, v.modified.Local()))
}

// order lists the variables that follow the request fields in the output of printenv, in Apache's order.
var order = strings.Fields("SERVER_SOFTWARE SERVER_NAME SERVER_ADDR SERVER_PORT REMOTE_ADDR DOCUMENT_ROOT " +
	"REQUEST_SCHEME SCRIPT_FILENAME REMOTE_PORT REMOTE_USER AUTH_TYPE GATEWAY_INTERFACE SERVER_PROTOCOL " +
	"REQUEST_METHOD QUERY_STRING REQUEST_URI SCRIPT_NAME")

// newVariables returns the variables of a CGI program, without secrets, and the special variables of pages.
func newVariables(r *backend.Request, f *file, o *Options, now time.Time) *variables {
	v := &variables{began: now, modified: f.modified, index: map[string]*variableEntry{}}
	values := map[string]string{"SERVER_ADDR": r.Peer.ServerName}
	site := programs.SiteVariables{Software: o.Software, DocumentRoot: o.Root}
	programs.Variables(r, &site, &programs.Script{File: o.Root + f.name, Base: len(r.Path)}, func(name, value string) {
		switch {
		case name == "HTTP_AUTHORIZATION" || name == "HTTP_PROXY_AUTHORIZATION":
		case strings.HasPrefix(name, "HTTP_") || strings.HasPrefix(name, "CONTENT_"):
			v.put(name, value)
		default:
			values[name] = value
		}
	})
	for _, name := range order {
		if value, ok := values[name]; ok {
			v.put(name, value)
		}
	}
	v.setTimes(o.TimeFormat)
	v.put("DOCUMENT_URI", r.Path)
	v.put("DOCUMENT_ARGS", r.Query())
	v.put("USER_NAME", f.owner)
	v.put("DOCUMENT_NAME", f.name[strings.LastIndexByte(f.name, '/')+1:])
	if q := r.Query(); q != "" {
		v.putQuery(q)
	}
	return v
}

// putQuery sets the variables that contain the query string. As in mod_include, an included page that has a query also
// changes these variables for the page that includes it.
func (v *variables) putQuery(q string) {
	v.put("QUERY_STRING", q)
	v.put("QUERY_STRING_UNESCAPED", escapeShell(unescapeURL(q)))
}

var encoders = map[string]func(string) string{
	"none":       func(s string) string { return s },
	"url":        escapeURL,
	"urlencoded": escapeForm,
	"base64":     func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"entity":     escapeHTML,
}

var decoders = map[string]func(string) string{
	"none":       func(s string) string { return s },
	"url":        unescapeURL,
	"urlencoded": func(s string) string { return unescapeURL(strings.ReplaceAll(s, "+", " ")) },
	"base64":     decodeBase64,
	"entity":     unescapeHTML,
}

var htmlEscaper = strings.NewReplacer("<", "&lt;", ">", "&gt;", "&", "&amp;", `"`, "&quot;")

func escapeHTML(s string) string { return htmlEscaper.Replace(s) }

func escapeURL(s string) string { return escapePercent(s, "$-_.+!*'(),:;@&=/~", false) }

func escapeForm(s string) string { return escapePercent(s, ".-*_", true) }

func escapePercent(s, keep string, plus bool) string {
	const hex = "0123456789abcdef"
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case isAlnum(c) || strings.IndexByte(keep, c) >= 0:
			b = append(b, c)
		case plus && c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func isAlnum(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || isDigit(c) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// unescapeURL decodes percent-encoding. unescapeURL keeps a "%" without two hexadecimal digits. As in C programs, a NUL
// ends the text.
func unescapeURL(s string) string {
	text, _, _ := strings.Cut(string(http1.DecodePath(nil, []byte(s))), "\x00")
	return text
}

func decodeBase64(s string) string {
	n := 0
	for n < len(s) && (isAlnum(s[n]) || s[n] == '+' || s[n] == '/') {
		n++
	}
	if n%4 == 1 {
		n--
	}
	b, _ := base64.RawStdEncoding.DecodeString(s[:n])
	text, _, _ := strings.Cut(string(b), "\x00")
	return text
}

// Browsers also accept character references without ";". Here, they must end with ";", because text such as "&copy" is
// usually part of a query.
var character = pattern(`&#?\w+;`)

func unescapeHTML(s string) string { return character().ReplaceAllStringFunc(s, html.UnescapeString) }

var shellSpecial = pattern("[&;`'\"|*?~<>^()\\[\\]{}$\\\\\n]")

func escapeShell(s string) string { return shellSpecial().ReplaceAllString(s, `\$0`) }
