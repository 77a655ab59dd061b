package runtime

import (
	"bytes"
	"fmt"
	"strings"
)

// template is a URL or path with places for what a request has.
type template []piece

// piece is a literal or, if variable, a name.
type piece struct {
	text     string
	variable bool
	inHost   bool // it follows the authority of a URL directly
}

// The names that templates know.
const (
	varPath   = "path"   // of the request, as received
	varRest   = "rest"   // what follows the prefix of the mount
	varQuery  = "query"  // without "?"
	varHost   = "host"   // without port
	varScheme = "scheme" // http, https
)

// parseTemplate reads text: literals and ${name}; $1 is ${rest}, $$ is "$". The
// error is one line.
func parseTemplate(text string, names ...string) (template, error) {
	var t template
	add := func(p piece) {
		if p.text != "" {
			t = append(t, p)
		}
	}
	for i := 0; i < len(text); i++ {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>\^|`+"`", c) >= 0 {
			return nil, fmt.Errorf("%q has a character that has to be percent-encoded in a URL: %q", text, c)
		}
	}
	for rest := text; ; {
		literal, after, found := strings.Cut(rest, "$")
		add(piece{text: literal})
		if !found {
			return t, nil
		}
		switch {
		case strings.HasPrefix(after, "$"):
			add(piece{text: "$"})
			rest = after[1:]
			continue
		case strings.HasPrefix(after, "1"):
			add(piece{text: varRest, variable: true, inHost: endsInHost(t)})
			rest = after[1:]
			continue
		}
		name, tail, closed := strings.Cut(strings.TrimPrefix(after, "{"), "}")
		known := false
		for _, one := range names {
			known = known || one == name
		}
		if !closed || !known || after[0] != '{' {
			return nil, fmt.Errorf("%q: after $ comes one of {%s}, 1 or $", text, strings.Join(names, "}, {"))
		}
		add(piece{text: name, variable: true, inHost: endsInHost(t)})
		rest = tail
	}
}

// endsInHost says whether what follows t would be part of the authority of a
// URL.
func endsInHost(t template) bool {
	whole := ""
	for _, p := range t {
		if p.variable {
			whole += "x"
		} else {
			whole += p.text
		}
	}
	_, rest, ok := strings.Cut(whole, "://")
	return ok && rest != "" && !strings.ContainsAny(rest, "/?#")
}

// values are what a template is filled with.
type values struct {
	path, rest []byte // percent-encoded
	query      []byte
	host       []byte
	scheme     string
}

// append fills in the template. The result has no byte that a client could end
// a header field with, nor leads it to another host than the template says.
func (t template) append(dst []byte, v *values) []byte {
	begin := len(dst)
	for _, p := range t {
		if !p.variable {
			dst = append(dst, p.text...)
			continue
		}
		var value []byte
		switch p.text {
		case varPath:
			value = v.path
		case varRest:
			value = v.rest
		case varHost:
			dst = append(dst, v.host...)
			continue
		case varScheme:
			dst = append(dst, v.scheme...)
			continue
		case varQuery:
			if len(v.query) == 0 && len(dst) > begin && (dst[len(dst)-1] == '?' || dst[len(dst)-1] == '&') {
				dst = dst[:len(dst)-1]
			}
			dst = appendURL(dst, v.query)
			continue
		}
		if p.inHost && (len(value) == 0 || value[0] != '/') {
			dst = append(dst, '/')
		}
		if len(dst) > begin && dst[len(dst)-1] == '/' {
			value = bytes.TrimLeft(value, "/")
		}
		dst = appendURL(dst, value)
	}
	for bytes.HasPrefix(dst[begin:], []byte("//")) && !strings.HasPrefix(t[0].text, "//") {
		dst = append(dst[:begin], dst[begin+1:]...)
	}
	return dst
}

// appendURL appends a part of a URL; what may not be in one is encoded.
func appendURL(dst, part []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range part {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\' || c == '^' || c == '`' || c == '{' || c == '|' || c == '}' || c == '#' {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// encodePath appends a decoded path, percent-encoded again.
func encodePath(dst, path []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range path {
		if c == '%' || c == '?' {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
			continue
		}
		dst = appendURL(dst, []byte{c})
	}
	return dst
}
