package http1

import "encoding/binary"

// maxMethod is longer than any registered method (RFC 9112 §3: a longer one
// than the server knows is 501).
const maxMethod = 32

const (
	version11 = uint64('H') | 'T'<<8 | 'T'<<16 | 'P'<<24 | '/'<<32 | '1'<<40 | '.'<<48 | '1'<<56
	version10 = version11 - 1<<56
	version20 = version11 + 1<<40 - 1<<56
)

// requestLine parses "method SP request-target SP HTTP-version CR" (RFC 9112
// §3) at the start of the head; line ends before the LF.
func (r *Request) requestLine(line []byte, http2 bool) error {
	if line[len(line)-1] != '\r' {
		return errBareLF
	}
	line = line[:len(line)-1]
	m := 0
	for m < len(line) && class[line[m]]&isToken != 0 {
		m++
	}
	// The shortest rest is " / HTTP/1.1": target and version are found from
	// both ends, and a third space is an invalid character of the target.
	version := len(line) - 8
	if m == len(line) || line[m] != ' ' || version < m+3 || line[version-1] != ' ' {
		return errRequestLine
	}
	if m > maxMethod {
		return errMethodTooLong
	}
	switch v := binary.LittleEndian.Uint64(line[version:]); {
	case v == version11:
		r.Version = HTTP11
	case http2 && v == version20:
		r.Version = HTTP2
	case v == version10:
	default:
		if err := otherVersion(line[version:]); err != nil {
			return err
		}
		r.Version = HTTP11
	}
	r.Method = Span{0, uint32(m)}
	options := false
	switch method := line[:m]; string(method) {
	case "GET", "TRACE":
		r.Safe = true
	case "HEAD":
		r.Safe, r.Head = true, true
	case "OPTIONS":
		r.Safe, options = true, true
	case "CONNECT":
		return errConnect
	}
	return r.target(line, m+1, version-1, options)
}

// otherVersion judges "HTTP/" DIGIT "." DIGIT but 1.0 and 1.1. A higher minor
// version is answered as 1.1 (RFC 9110 §2.5).
func otherVersion(v []byte) error {
	if string(v[:5]) != "HTTP/" || v[5] < '0' || v[5] > '9' || v[6] != '.' || v[7] < '0' || v[7] > '9' {
		return errVersionSyntax
	}
	if v[5] != '1' {
		return errVersion
	}
	return nil
}

// target parses line[pos:end], one of the forms of RFC 9112 §3.2.
func (r *Request) target(line []byte, pos, end int, options bool) error {
	r.Target = Span{uint32(pos), uint32(end - pos)}
	if line[pos] == '/' {
		return r.pathAndQuery(line, pos, end)
	}
	if end-pos == 1 && line[pos] == '*' && options {
		r.Path, r.Plain = r.Target, true
		return nil
	}
	return r.absoluteForm(line, pos, end)
}

// absoluteForm parses an http or https URI (RFC 9112 §3.2.2). What else it
// might be, authority-form or "*" without OPTIONS, is an error.
func (r *Request) absoluteForm(line []byte, pos, end int) error {
	t := line[pos:end]
	var scheme int
	switch {
	case len(t) > 7 && equalFold(t[:4], "http") && string(t[4:7]) == "://":
		scheme = 7
	case len(t) > 8 && equalFold(t[:5], "https") && string(t[5:8]) == "://":
		scheme = 8
	default:
		if !all(t, isTarget) {
			return errTarget
		}
		return errTargetForm
	}
	a := scheme
	for a < len(t) && t[a] != '/' && t[a] != '?' {
		a++
	}
	// User information has no place here (RFC 9110 §4.2.4); "@" is not valid in a host.
	if !ValidHost(t[scheme:a]) {
		return errAuthority
	}
	r.Authority = Span{uint32(pos + scheme), uint32(a - scheme)}
	if a < len(t) && t[a] == '/' {
		return r.pathAndQuery(line, pos+a, end)
	}
	// An empty path means "/" (RFC 9110 §4.2.3): borrow the one before the authority.
	if err := r.pathAndQuery(line, pos+a, end); err != nil {
		return err
	}
	r.Path = Span{uint32(pos + scheme - 1), 1}
	return nil
}

// pathAndQuery parses line[pos:end], "path [?query]". Percent-encoding is
// checked in the path, which will be decoded. In the query it is not: browsers
// send "?q=100%" as typed, and the query is handed on as it is.
func (r *Request) pathAndQuery(line []byte, pos, end int) error {
	line = line[:end]
	r.Plain = true
	i := pos
scan:
	for ; i < len(line); i++ {
		c := line[i]
		if class[c]&isPlain != 0 {
			continue
		}
		switch c {
		case '/':
			if i+1 < len(line) && (line[i+1] == '/' || line[i+1] == '.') {
				r.Plain = false
			}
		case '\\':
			r.Plain = false
		case '%':
			if i+2 >= len(line) || class[line[i+1]]&class[line[i+2]]&isHex == 0 || line[i+1] == '0' && line[i+2] == '0' {
				return errPercent
			}
			r.Plain = false
		case '?':
			break scan
		default:
			return errTarget
		}
	}
	r.Path = Span{uint32(pos), uint32(i - pos)}
	if i < len(line) {
		i++
		if !all(line[i:], isTarget) {
			return errTarget
		}
		r.Query = Span{uint32(i), uint32(len(line) - i)}
	}
	return nil
}
