package route

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"fapws/runtime/http1"
)

type Rewrite struct {
	path, query Template
	keepQuery   bool
}

// NewRewrite returns a Rewrite. target is an absolute, percent-encoded path, which may contain the variables ${path},
// ${rest} or $1 and, after a "?", ${query}. If target has no "?", the query does not change. The error has one line.
func NewRewrite(target string) (*Rewrite, error) {
	path, query, found := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "${path}") {
		return nil, fmt.Errorf("%q is not an absolute path", target)
	}
	if strings.Contains(path, "%00") {
		return nil, fmt.Errorf("%q has a NUL", target)
	}
	r := &Rewrite{keepQuery: !found}
	var err error
	if r.path, err = ParseTemplate(path, VarPath, VarRest); err != nil {
		return nil, err
	}
	r.query, err = ParseTemplate(query, VarPath, VarRest, VarQuery)
	return r, err
}

const maxRounds = 10

// rewrite replaces the path of the request, or returns false if the new path is invalid or too long.
func (d *Decision) rewrite(m *compiled) bool {
	parsed := d.request.Parsed
	if d.rounds++; d.rounds > maxRounds {
		d.Fault = fmt.Sprintf("%.200q is rewritten more than %d times", parsed.Target.In(d.Head), maxRounds)
		return d.refuse(500)
	}
	v := d.Values()
	raw := m.Rewrite.path.Append(nil, &v)
	if !m.Rewrite.keepQuery {
		query := m.Rewrite.query.Append(nil, &v)
		parsed.Query = http1.Span{Off: uint32(len(d.Head)), Len: uint32(len(query))}
		d.Head = append(d.Head[:len(d.Head):len(d.Head)], query...)
	}
	path, ok := http1.ResolvePath(bytes.Clone(d.Path[:d.Root]), raw)
	if !ok {
		d.Fault = fmt.Sprintf("a rewrite results in %.200q, whose dot segments cannot be resolved", raw)
		return d.refuse(500)
	}
	d.Path = append(path[:d.Root:d.Root], http1.MergeSlashes(nil, path[d.Root:])...)
	d.Rewritten, d.Resolved = true, nil
	return true
}

// Values returns the values for templates. The values are valid as long as d is.
func (d *Decision) Values() Values {
	prefix := d.Root + len(d.table.sites[d.Site].mounts[d.Mount].Prefix)
	return ValuesOf(Input{Head: d.Head, Parsed: d.request.Parsed, Client: d.request.Client}, d.Path, d.Root, prefix)
}

// ValuesOf returns the values for templates from path, r.Parsed, r.Head and r.Client. The values are valid as long as
// the memory of r and path.
func ValuesOf(r Input, path []byte, root, prefix int) Values {
	v := Values{query: r.Parsed.Query.In(r.Head), scheme: r.Client.Scheme()}
	if v.host = NormalHost(nil, r.Client.AppendHost(nil, r.Parsed, r.Head)); len(v.host) == 0 {
		v.host = []byte(r.Client.ServerName)
	}
	raw := r.Parsed.Path.In(r.Head)
	if root > 0 || !bytes.Equal(http1.DecodePath(nil, raw), path) {
		v.path = AppendPath(nil, path)
		v.rest = AppendPath(nil, path[min(prefix, len(path)):])
	} else {
		v.path, v.rest = raw, undecoded(raw, prefix)
	}
	return v
}

func undecoded(raw []byte, n int) []byte {
	for ; n > 0 && len(raw) > 0; n-- {
		if raw[0] == '%' && len(raw) >= 3 {
			raw = raw[2:]
		}
		raw = raw[1:]
	}
	return raw
}

// Template is a URL or path with variables for parts of a request.
type Template []piece

type piece struct {
	text     string
	variable bool
	inHost   bool // the piece directly follows the authority of a URL
}

const (
	VarPath   = "path"   // the path of the request, as received
	VarRest   = "rest"   // the path after the prefix of the mount
	VarQuery  = "query"  // the query of the request, without "?"
	VarHost   = "host"   // the requested host, without the port
	VarScheme = "scheme" // the scheme: http or https
)

// ParseTemplate parses text, which consists of literal characters and variables such as ${path}. names lists the
// permitted variables. $1 means ${rest}, and $$ means "$". The error has one line.
func ParseTemplate(text string, names ...string) (Template, error) {
	var t Template
	for i := 0; i < len(text); i++ {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(notInURL, c) >= 0 {
			return nil, fmt.Errorf("%q has a character that must be percent-encoded in a URL: %q", text, c)
		}
	}
	sample := "" // a possible result of t
	for rest := text; rest != ""; {
		p := piece{text: rest}
		switch literal, after, found := strings.Cut(rest, "$"); {
		case literal != "":
			p.text, rest = literal, rest[len(literal):]
		case found && strings.HasPrefix(after, "$"):
			p.text, rest = "$", after[1:]
		case strings.HasPrefix(after, "1"):
			p.text, p.variable, rest = VarRest, true, after[1:]
		default:
			name, tail, closed := strings.Cut(strings.TrimPrefix(after, "{"), "}")
			if !closed || !slices.Contains(names, name) || after[0] != '{' {
				return nil, fmt.Errorf("%q: $ must be followed by one of {%s}, 1 or $", text,
					strings.Join(names, "}, {"))
			}
			p.text, p.variable, rest = name, true, tail
		}
		if p.variable {
			_, host, ok := strings.Cut(sample, "://")
			p.inHost = ok && host != "" && !strings.ContainsAny(host, "/?#")
			sample += "x"
		} else {
			sample += p.text
		}
		t = append(t, p)
	}
	return t, nil
}

type Values struct {
	path, rest []byte
	query      []byte
	host       []byte
	scheme     string
}

func (v *Values) Query() []byte { return v.query }

// Append appends the template, filled in with the values in v, to dst. Append never appends a byte that ends a header
// field, and the values cannot change the host of the template.
func (t Template) Append(dst []byte, v *Values) []byte {
	begin := len(dst)
	for _, p := range t {
		if !p.variable {
			dst = append(dst, p.text...)
			continue
		}
		var value []byte
		switch p.text {
		case VarPath:
			value = v.path
		case VarRest:
			value = v.rest
		case VarHost:
			dst = append(dst, v.host...)
			continue
		case VarScheme:
			dst = append(dst, v.scheme...)
			continue
		case VarQuery:
			if len(v.query) == 0 && len(dst) > begin && (dst[len(dst)-1] == '?' || dst[len(dst)-1] == '&') {
				dst = dst[:len(dst)-1]
			}
			dst = AppendURL(dst, v.query)
			continue
		}
		if p.inHost && (len(value) == 0 || value[0] != '/') {
			dst = append(dst, '/')
		}
		if len(dst) > begin && dst[len(dst)-1] == '/' {
			value = bytes.TrimLeft(value, "/")
		}
		dst = AppendURL(dst, value)
	}
	for bytes.HasPrefix(dst[begin:], []byte("//")) && !strings.HasPrefix(t[0].text, "//") {
		dst = append(dst[:begin], dst[begin+1:]...)
	}
	return dst
}

const notInURL = `"<>\^|` + "`"

func AppendURL(dst, part []byte) []byte { return appendEncoded(dst, part, notInURL+"{}#") }

func AppendPath(dst, path []byte) []byte { return appendEncoded(dst, path, notInURL+"{}#%?") }

// appendEncoded appends text to dst. It percent-encodes the characters in encoded and all characters that are not
// visible ASCII.
func appendEncoded(dst, text []byte, encoded string) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range text {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(encoded, c) >= 0 {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
