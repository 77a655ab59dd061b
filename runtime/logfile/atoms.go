package logfile

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fapws/runtime/http1"
)

// textOf returns an atom for a text. An empty text counts as missing.
func textOf[T string | []byte](value func(*Entry) T) atom {
	return func(dst []byte, e *Entry) ([]byte, bool) {
		text := value(e)
		return append(dst, text...), len(text) > 0
	}
}

func numberOf(value func(*Entry) int64) atom {
	return func(dst []byte, e *Entry) ([]byte, bool) { return strconv.AppendInt(dst, value(e), 10), true }
}

// bytesOrDash returns an atom for a number of bytes in the common log format, in which "-" means 0.
func bytesOrDash(value func(*Entry) int64) atom {
	return func(dst []byte, e *Entry) ([]byte, bool) { return strconv.AppendInt(dst, value(e), 10), value(e) != 0 }
}

const (
	methodPart = iota
	targetPart
	versionPart
)

func split(line []byte) (parts [3][]byte) {
	method, target, _ := bytes.Cut(line, []byte(" "))
	if last := bytes.LastIndexByte(target, ' '); last >= 0 {
		return [3][]byte{method, target[:last], target[last+1:]}
	}
	return [3][]byte{method, target}
}

func partOf(part int) atom {
	return textOf(func(e *Entry) []byte { return split(e.RequestLine)[part] })
}

// target returns the authority in the request target, and the text after the authority. The authority is nil if the
// target is not in absolute-form (RFC 9112 §3.2.2).
func (e *Entry) target() (authority, rest []byte) {
	rest = split(e.RequestLine)[targetPart]
	i := bytes.Index(rest, []byte("://"))
	if i <= 0 || rest[0] == '/' {
		return nil, rest
	}
	rest = rest[i+3:]
	if end := bytes.IndexAny(rest, "/?"); end >= 0 {
		return rest[:end], rest[end:]
	}
	return rest, nil
}

func (e *Entry) pathAndQuery() (path, query []byte) {
	authority, target := e.target()
	if authority != nil && (len(target) == 0 || target[0] == '?') {
		return []byte("/"), target
	}
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i:]
	}
	return target, nil
}

// Parts returns the parts of the request line. query begins with "?" unless it is empty.
func (e *Entry) Parts() (method, path, query, version []byte) {
	parts := split(e.RequestLine)
	path, query = e.pathAndQuery()
	return parts[methodPart], path, query, parts[versionPart]
}

func urlPath(dst []byte, e *Entry) ([]byte, bool) {
	path, _ := e.pathAndQuery()
	return http1.DecodePath(dst, path), len(path) > 0
}

func apacheQuery(dst []byte, e *Entry) ([]byte, bool) {
	_, query := e.pathAndQuery()
	return append(dst, query...), true
}

func gunicornQuery(dst []byte, e *Entry) ([]byte, bool) {
	_, query := e.pathAndQuery()
	return append(dst, bytes.TrimPrefix(query, []byte("?"))...), true
}

var stamp timestamp

func apacheTime(dst []byte, e *Entry) ([]byte, bool) { return append(dst, stamp.of(e.Time)...), true }

func micros(e *Entry) int64 { return e.Duration.Microseconds() }

func decimalSeconds(dst []byte, e *Entry) ([]byte, bool) {
	us := micros(e)
	dst = append(strconv.AppendInt(dst, us/1e6, 10), '.')
	return padded(dst, us%1e6, 6), true
}

func padded(dst []byte, n int64, width int) []byte {
	start := len(dst)
	for dst = strconv.AppendInt(dst, n, 10); len(dst)-start < width; {
		dst = slices.Insert(dst, start, '0')
	}
	return dst
}

func (e *Entry) port() string {
	return cmp.Or(e.LocalPort, "80")
}

func (e *Entry) site() string {
	return cmp.Or(e.Site, e.LocalAddr)
}

func (f *Format) requested(name string) atom {
	i := index(&f.Request, name)
	return func(dst []byte, e *Entry) ([]byte, bool) {
		return append(dst, e.Request[i].Text...), e.Request[i].There
	}
}

func (f *Format) replied(name string) atom {
	i := index(&f.Response, name)
	return func(dst []byte, e *Entry) ([]byte, bool) {
		return append(dst, e.Response[i].Text...), e.Response[i].There
	}
}

// cookie returns an atom for a cookie (RFC 6265 §4.2). As in Apache, names of cookies are case-insensitive, and an
// empty cookie counts as missing.
func (f *Format) cookie(name string) atom {
	i := index(&f.Request, "cookie")
	return func(dst []byte, e *Entry) ([]byte, bool) {
		for pair := range bytes.SplitSeq(e.Request[i].Text, []byte(";")) {
			key, value, _ := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
			if len(value) > 0 && strings.EqualFold(string(key), name) {
				return append(dst, value...), true
			}
		}
		return dst, false
	}
}

// hostOf returns the atom %V: the host that the client requested, without its port and in normal form, such as
// "localhost" for "LocalHost.:80" and "::1" for "[::1]".
func (f *Format) hostOf() atom {
	i := index(&f.Request, "host")
	return func(dst []byte, e *Entry) ([]byte, bool) {
		host, _ := e.target() // a host in the request target overrides the Host field (RFC 9112 §3.2.2)
		if host == nil {
			host = e.Request[i].Text
		}
		before := len(dst)
		if dst = appendHostName(dst, host); len(dst) == before {
			return append(dst, e.site()...), e.site() != ""
		}
		return dst, true
	}
}

// userOf returns gunicorn's atom for the user: the logged-in user, or otherwise the user name in the Authorization
// field (RFC 7617).
func (f *Format) userOf() atom {
	i := index(&f.Request, "authorization")
	return func(dst []byte, e *Entry) ([]byte, bool) {
		if e.User != "" {
			return append(dst, e.User...), true
		}
		text := e.Request[i].Text
		if len(text) < 6 || !bytes.EqualFold(text[:6], []byte("basic ")) {
			return dst, false
		}
		from := len(dst)
		dst, err := base64.StdEncoding.AppendDecode(dst, bytes.TrimSpace(text[6:]))
		colon := bytes.IndexByte(dst[from:], ':')
		return dst[:from+max(colon, 0)], err == nil && colon > 0
	}
}

// trace returns an atom for the trace-id in a valid traceparent, which the server or the client has set.
func (f *Format) trace() atom {
	i := index(&f.Request, "traceparent")
	return func(dst []byte, e *Entry) ([]byte, bool) {
		id, ok := http1.ParseTraceparent(e.Request[i].Text)
		return append(dst, id.Trace.String()...), ok
	}
}

func (f *Format) field(name string, letter byte) (atom, error) {
	if name == "" {
		return nil, fmt.Errorf("has no name between the braces")
	}
	switch letter {
	case 'i':
		return f.requested(name), nil
	case 'o':
		return f.replied(name), nil
	case 'e':
		return f.variable(name)
	}
	return nil, errNoAtom
}

// variables maps the names of variables to keys of apacheAtoms.
var variables = map[string]string{
	"REMOTE_ADDR": "a", "REMOTE_PORT": "{remote}p", "REMOTE_USER": "u",
	"REQUEST_METHOD": "m", "REQUEST_URI": "target", "RAW_URI": "target", "QUERY_STRING": "(q)", "SERVER_PROTOCOL": "H",
	"SERVER_NAME": "v", "SERVER_PORT": "p", "SERVER_SOFTWARE": "software",
	"REQUEST_SCHEME": "scheme", "wsgi.url_scheme": "scheme", "WSGI.URL_SCHEME": "scheme",
	"fapws.request_id": "request", "FAPWS.REQUEST_ID": "request",
}

// times maps the names of atoms that need Entry.Times to durations in nanoseconds, which are 0 if unknown.
var times = map[string]func(*Entry) int64{
	"fapws.wait":       func(e *Entry) int64 { return e.Times.Wait.Load() },
	"fapws.python":     func(e *Entry) int64 { return e.Times.Python.Load() },
	"fapws.first_byte": func(e *Entry) int64 { return e.Times.FirstByte.Load() },
	"fapws.send": func(e *Entry) int64 {
		first := e.Times.FirstByte.Load()
		return min(first, 1) * max(int64(e.Duration)-first, 1)
	},
	"fapws.upstream": func(e *Entry) int64 { return e.Times.Upstream.Load() },
}

func (f *Format) variable(name string) (atom, error) {
	if key, ok := variables[name]; ok {
		return apacheAtoms[key], nil
	}
	if of := times[strings.ToLower(name)]; of != nil {
		f.Timed = true
		return func(dst []byte, e *Entry) ([]byte, bool) {
			if e.Times == nil {
				return dst, false
			}
			ns := of(e)
			return strconv.AppendInt(dst, ns/1000, 10), ns > 0
		}, nil
	}
	switch name {
	case "fapws.trace_id", "FAPWS.TRACE_ID":
		return f.trace(), nil
	case "CONTENT_TYPE", "CONTENT_LENGTH":
		return f.requested(strings.ReplaceAll(name, "_", "-")), nil
	}
	if field, ok := strings.CutPrefix(name, "HTTP_"); ok && field != "" {
		return f.requested(strings.ReplaceAll(field, "_", "-")), nil
	}
	return nil, fmt.Errorf("names an unknown variable")
}

// gunicornAtom returns the atom with this name, or nil
// (https://docs.gunicorn.org/en/stable/settings.html#access-log-format).
func (f *Format) gunicornAtom(name string) atom {
	switch name {
	case "u":
		return f.userOf()
	case "f":
		return f.requested("referer")
	case "a":
		return f.requested("user-agent")
	}
	if a := apacheAtoms["("+name+")"]; a != nil || len(name) != 1 || !strings.Contains("hltrmUHsBbTD", name) {
		return a
	}
	return apacheAtoms[name]
}
