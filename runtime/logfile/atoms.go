package logfile

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"fapws/runtime/http1"
)

// put appends text that may come from a client, escaped unless raw.
func put(dst, text []byte, raw bool) []byte {
	if raw {
		return append(dst, text...)
	}
	return appendEscaped(dst, text)
}

// plain is the atom of a text that no client has made; empty is none.
func plain(of func(*Entry) string) atom {
	return func(dst []byte, e *Entry, _ *accessWriter, _ bool) ([]byte, bool) {
		text := of(e)
		return append(dst, text...), text != ""
	}
}

// accessNumber is the atom of an integer.
func accessNumber(of func(*Entry) int64) atom {
	return func(dst []byte, e *Entry, _ *accessWriter, _ bool) ([]byte, bool) {
		return strconv.AppendInt(dst, of(e), 10), true
	}
}

// bytesOrDash is number in the common log format: 0 is "-".
func bytesOrDash(of func(*Entry) int64) atom {
	return func(dst []byte, e *Entry, _ *accessWriter, _ bool) ([]byte, bool) {
		n := of(e)
		if n == 0 {
			return dst, false
		}
		return strconv.AppendInt(dst, n, 10), true
	}
}

// part is the atom of a part of the request line.
func part(of func(*Entry) []byte) atom {
	return func(dst []byte, e *Entry, _ *accessWriter, raw bool) ([]byte, bool) {
		text := of(e)
		return put(dst, text, raw), len(text) > 0
	}
}

// split cuts a request line at its first and last space.
func split(line []byte) (method, target, version []byte) {
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first < 0 {
		return line, nil, nil
	}
	if first == last {
		return line[:first], line[first+1:], nil
	}
	return line[:first], line[first+1 : last], line[last+1:]
}

func (e *Entry) method() []byte {
	method, _, _ := split(e.RequestLine)
	return method
}

func (e *Entry) version() []byte {
	_, _, version := split(e.RequestLine)
	return version
}

// target returns the host and port of a target in absolute-form (RFC 9112 §3.2.2),
// nil in another, and the rest of it.
func (e *Entry) target() (authority, rest []byte) {
	_, rest, _ = split(e.RequestLine)
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

// pathAndQuery returns the path, percent-encoded, and the query with its "?".
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

func urlPath(dst []byte, e *Entry, w *accessWriter, raw bool) ([]byte, bool) {
	path, _ := e.pathAndQuery()
	if len(path) == 0 {
		return dst, false
	}
	w.scratch = http1.DecodePath(w.scratch[:0], path)
	return put(dst, w.scratch, raw), true
}

// apacheQuery is %q: with its "?", or nothing.
func apacheQuery(dst []byte, e *Entry, _ *accessWriter, raw bool) ([]byte, bool) {
	_, query := e.pathAndQuery()
	return put(dst, query, raw), true
}

func gunicornQuery(dst []byte, e *Entry, _ *accessWriter, raw bool) ([]byte, bool) {
	_, query := e.pathAndQuery()
	return put(dst, bytes.TrimPrefix(query, []byte("?")), raw), true
}

// user is %u.
func user(dst []byte, e *Entry, w *accessWriter, raw bool) ([]byte, bool) {
	w.scratch = append(w.scratch[:0], e.User...)
	return put(dst, w.scratch, raw), e.User != ""
}

// apacheTime is %t.
func apacheTime(dst []byte, e *Entry, w *accessWriter, _ bool) ([]byte, bool) {
	dst = append(dst, '[')
	dst = append(dst, w.stamp.of(e.Time)...)
	return append(dst, ']'), true
}

func micros(e *Entry) int64 { return e.Duration.Microseconds() }

func decimalSeconds(dst []byte, e *Entry, _ *accessWriter, _ bool) ([]byte, bool) {
	us := micros(e)
	dst = append(strconv.AppendInt(dst, us/1e6, 10), '.')
	return padded(dst, us%1e6, 6), true
}

// padded appends n with zeros before it.
func padded(dst []byte, n int64, width int) []byte {
	return padLeft(strconv.AppendInt(dst, n, 10), len(dst), width, '0')
}

func (e *Entry) port() string {
	return cmp.Or(e.LocalPort, "80")
}

func (e *Entry) site() string {
	return cmp.Or(e.Site, e.LocalAddr)
}

// requested and replied are the atoms of header fields.
func (f *Format) requested(name string) atom {
	i := index(&f.Request, name)
	return value(func(e *Entry) *Value { return &e.Request[i] })
}

func (f *Format) replied(name string) atom {
	i := index(&f.Response, name)
	return value(func(e *Entry) *Value { return &e.Response[i] })
}

func value(of func(*Entry) *Value) atom {
	return func(dst []byte, e *Entry, _ *accessWriter, raw bool) ([]byte, bool) {
		v := of(e)
		return put(dst, v.Text, raw), v.There
	}
}

// cookie is the atom of a cookie (RFC 6265 §4.2). As Apache does it, names are told
// apart without case, and an empty cookie is none.
func (f *Format) cookie(name string) atom {
	i := index(&f.Request, "cookie")
	return func(dst []byte, e *Entry, _ *accessWriter, raw bool) ([]byte, bool) {
		for pair := range bytes.SplitSeq(e.Request[i].Text, []byte(";")) {
			key, value, _ := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
			if len(value) > 0 && strings.EqualFold(string(key), name) {
				return put(dst, value, raw), true
			}
		}
		return dst, false
	}
}

// hostOf is %V: the host that the client has named, without its port, in the spelling
// of names: "localhost" for "LocalHost.:80", "::1" for "[::1]".
func (f *Format) hostOf() atom {
	i := index(&f.Request, "host")
	return func(dst []byte, e *Entry, w *accessWriter, raw bool) ([]byte, bool) {
		host, _ := e.target() // RFC 9112 §3.2.2: it wins
		if host == nil {
			host = e.Request[i].Text
		}
		if colon := bytes.LastIndexByte(host, ':'); colon >= 0 && bytes.IndexByte(host[colon:], ']') < 0 {
			host = host[:colon]
		}
		host = bytes.TrimSuffix(bytes.Trim(host, "[]"), []byte("."))
		if len(host) == 0 {
			site := e.site()
			return append(dst, site...), site != ""
		}
		w.scratch = append(w.scratch[:0], host...)
		for i, c := range w.scratch {
			if c >= 'A' && c <= 'Z' {
				w.scratch[i] = c + 'a' - 'A'
			}
		}
		return put(dst, w.scratch, raw), true
	}
}

// userOf is gunicorn's: the logged-in user, or the name in the request (RFC 7617).
func (f *Format) userOf() atom {
	i := index(&f.Request, "authorization")
	return func(dst []byte, e *Entry, w *accessWriter, raw bool) ([]byte, bool) {
		if e.User != "" {
			return user(dst, e, w, raw)
		}
		text := e.Request[i].Text
		if len(text) < 6 || !bytes.EqualFold(text[:6], []byte("basic ")) {
			return dst, false
		}
		text = bytes.TrimSpace(text[6:])
		var err error
		w.scratch, err = base64.StdEncoding.AppendDecode(w.scratch[:0], text)
		name, _, ok := bytes.Cut(w.scratch, []byte(":"))
		if err != nil || !ok || len(name) == 0 {
			return dst, false
		}
		return put(dst, name, raw), true
	}
}

// trace is the atom of the trace-id of a valid traceparent, the server's or the client's.
func (f *Format) trace() atom {
	i := index(&f.Request, "traceparent")
	return func(dst []byte, e *Entry, _ *accessWriter, _ bool) ([]byte, bool) {
		id, _, ok := http1.ParseTraceparent(e.Request[i].Text)
		if !ok {
			return dst, false
		}
		return append(dst, id[:]...), true
	}
}

// field is the atom for {name} and a letter.
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
	return nil, fmt.Errorf("is not an atom")
}

func (e *Entry) rawTarget() []byte {
	_, target, _ := split(e.RequestLine)
	return target
}

func (e *Entry) scheme() string { return cmp.Or(e.Scheme, "http") }

// variables are the atoms of variables of CGI and WSGI that need no header field.
var variables = map[string]atom{
	"REMOTE_ADDR":     plain(func(e *Entry) string { return e.Addr }),
	"REMOTE_PORT":     plain(func(e *Entry) string { return e.Port }),
	"REMOTE_USER":     user,
	"REQUEST_METHOD":  part((*Entry).method),
	"REQUEST_URI":     part((*Entry).rawTarget),
	"RAW_URI":         part((*Entry).rawTarget),
	"QUERY_STRING":    gunicornQuery,
	"SERVER_PROTOCOL": part((*Entry).version),
	"SERVER_NAME":     plain((*Entry).site),
	"SERVER_PORT":     plain((*Entry).port),
	"SERVER_SOFTWARE": plain(func(*Entry) string { return "fapws" }),
	"REQUEST_SCHEME":  plain((*Entry).scheme),
	"wsgi.url_scheme": plain((*Entry).scheme),
	"WSGI.URL_SCHEME": plain((*Entry).scheme),
}

// variable is the atom of a variable of CGI and WSGI.
func (f *Format) variable(name string) (atom, error) {
	if a := variables[name]; a != nil {
		return a, nil
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

// gunicornAtom returns nil if there is none
// (https://docs.gunicorn.org/en/stable/settings.html#access-log-format).
func (f *Format) gunicornAtom(name string) atom {
	switch name {
	case "h", "l", "t", "r", "m", "U", "H", "s", "B", "b", "T", "D":
		return apacheAtoms[name]
	case "u":
		return f.userOf()
	case "q":
		return gunicornQuery
	case "f":
		return f.requested("referer")
	case "a":
		return f.requested("user-agent")
	case "M":
		return accessNumber(func(e *Entry) int64 { return e.Duration.Milliseconds() })
	case "L":
		return decimalSeconds
	case "p":
		return plain(func(*Entry) string { return bracketed })
	}
	return nil
}
