package http1

import (
	"bytes"
	"encoding/binary"
	"iter"
)

type known struct {
	hosts     int
	body      bool
	close     bool
	keepAlive bool
	upgrade   bool
	trailers  bool
}

func (r *Request) field(head []byte, pos, end int, k *known) error {
	line := head[pos:end]
	n := 0
	for n < len(line) && class[line[n]]&isToken != 0 {
		n++
	}
	// Whitespace before the colon is invalid (RFC 9112 §5.1).
	if n == 0 || n == len(line) || line[n] != ':' {
		if line[0] == ' ' || line[0] == '\t' {
			return errFolded // RFC 9112 §2.2, §5.2
		}
		return errFieldName
	}
	v, e := n+1, len(line)
	for v < e && (line[v] == ' ' || line[v] == '\t') {
		v++
	}
	for v < e && (line[e-1] == ' ' || line[e-1] == '\t') {
		e--
	}
	value := line[v:e]
	if !validValue(value) {
		return errFieldValue
	}
	span := Span{uint32(pos + v), uint32(e - v)}
	r.Fields = append(r.Fields, Field{Span{uint32(pos), uint32(n)}, span})

	if c := line[0] | 0x20; c == 'x' || c == 'f' || c == 'r' {
		r.Forwarded = r.Forwarded || IsForwarding(line[:n])
	}
	switch name := line[:n]; n {
	case 2:
		if EqualFold(name, "te") {
			k.te(value)
		}
	case 4:
		if EqualFold(name, "host") {
			r.Host = span
			k.hosts++
		}
	case 6:
		k.body = k.body || EqualFold(name, "expect")
		r.HTML = r.HTML || EqualFold(name, "accept") && namesHTML(value)
	case 7:
		if r.UpgradeTo.Len == 0 && EqualFold(name, "upgrade") {
			r.UpgradeTo = span
		}
	case 10:
		if EqualFold(name, "connection") {
			k.connection(value)
		}
	case 14:
		k.body = k.body || EqualFold(name, "content-length")
	case 15:
		r.Codings = r.Codings || EqualFold(name, "accept-encoding")
	case 17:
		k.body = k.body || EqualFold(name, "transfer-encoding")
	}
	return nil
}

// RemoteUser is the name of the field that contains the logged-in user, for ASGI applications and upstreams.
const RemoteUser = "remote-user"

// IsForwarding reports whether name is a field with which proxies describe a client: Forwarded, X-Forwarded-*,
// X-Real-IP, X-Ingress-Path or Remote-User.
func IsForwarding(name []byte) bool {
	const any = "x-forwarded-"
	return len(name) > len(any) && IsSpelled(name[:len(any)], any) ||
		IsSpelled(name, "forwarded") || IsSpelled(name, "x-real-ip") || IsSpelled(name, "x-ingress-path") ||
		IsSpelled(name, RemoteUser)
}

// IsSpelled reports whether an application could mistake the field name for the field lower, which is written in lower
// case. Applications ignore case, and CGI replaces "-" by "_".
func IsSpelled(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if want := lower[i]; c|0x20 != want && !(want == '-' && c == '_') {
			return false
		}
	}
	return true
}

// connection evaluates a Connection field and ignores unknown options (RFC 9110 §7.6.1).
func (k *known) connection(list []byte) {
	for option := range members(list) {
		switch {
		case EqualFold(option, "close"):
			k.close = true
		case EqualFold(option, "keep-alive"):
			k.keepAlive = true
		case EqualFold(option, "upgrade"):
			k.upgrade = true
		}
	}
}

// te evaluates a TE field, and ignores all members except "trailers" (RFC 9110 §10.1.4).
func (k *known) te(list []byte) {
	for coding := range members(list) {
		k.trailers = k.trailers || EqualFold(coding, "trailers")
	}
}

// members yields the members of a comma-separated list, including empty members (RFC 9110 §5.6.1).
func members(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest, more := list, true; more; {
			var member []byte
			member, rest, more = bytes.Cut(rest, comma)
			if !yield(bytes.Trim(member, " \t")) {
				return
			}
		}
	}
}

var comma = []byte{','}

func namesHTML(list []byte) bool {
	if len(list) < len("text/html") { // such as "*/*", which most programs send
		return false
	}
	for member := range members(list) {
		if name, weight := Weighted(member); weight > 0 && EqualFold(name, "text/html") {
			return true
		}
	}
	return false
}

// FromBrowser reports whether an invalid head probably is from a browser: it accepts text/html, or it ends within a
// first line of more than limit bytes, before its Accept field. Mostly browsers send lines of this length.
func FromBrowser(head []byte, limit int) bool {
	if at := bytes.Index(head, []byte("text/html")); at >= 0 {
		accepted, _, _ := bytes.Cut(head[at:], []byte{'\r'})
		return namesHTML(accepted)
	}
	return len(head) > limit && !bytes.ContainsRune(head, '\n')
}

// Weighted splits "name;q=0.5" into the name and the weight in thousandths (RFC 9110 §12.4.2). An invalid weight counts
// as 0.
func Weighted(item []byte) (name []byte, weight int16) {
	name, params, found := bytes.Cut(item, []byte{';'})
	name = bytes.Trim(name, " \t")
	weight = 1000
	for found {
		var param []byte
		param, params, found = bytes.Cut(params, []byte{';'})
		param = bytes.Trim(param, " \t")
		if len(param) >= 2 && param[0]|0x20 == 'q' && param[1] == '=' {
			weight = parseWeight(param[2:])
		}
	}
	return name, weight
}

func parseWeight(s []byte) int16 {
	if len(s) == 0 || len(s) > 5 || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0
	}
	weight, scale := int16(s[0]-'0')*1000, int16(100)
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		weight += int16(s[i]-'0') * scale
		scale /= 10
	}
	return min(weight, 1000)
}

// AppendWithout appends head, from which r was parsed, to dst. It omits the fields for which the function drop returns
// true, and updates r: HeadLen and all spans are those that parsing the appended head gives. Forwarded is unchanged: a
// request with removed forwarding fields came through a proxy, too. drop must return false for fields that determine the
// framing of the body or the life of the connection. dst must not share memory with head.
func (r *Request) AppendWithout(dst, head []byte, drop func(Field) bool) []byte {
	at, fields := len(dst), r.HeadLen-len("\r\n")
	if len(r.Fields) > 0 {
		fields = int(r.Fields[0].Name.Off)
	}
	dst = append(dst, head[:fields]...)
	kept := r.Fields[:0]
	r.Host, r.UpgradeTo = Span{}, Span{}
	for _, f := range r.Fields {
		if drop(f) {
			continue
		}
		name, moved := f.Name.In(head), f.Name.Off-uint32(len(dst)-at)
		dst = append(append(dst, head[f.Name.Off:f.Value.Off+f.Value.Len]...), "\r\n"...)
		f.Name.Off -= moved
		f.Value.Off -= moved
		kept = append(kept, f)
		switch {
		case EqualFold(name, "host"):
			r.Host = f.Value
		case r.UpgradeTo.Len == 0 && EqualFold(name, "upgrade"):
			r.UpgradeTo = f.Value
		}
	}
	r.Fields = kept
	dst = append(dst, "\r\n"...)
	r.HeadLen = len(dst) - at
	return dst
}

// Each class is a bit of the table class. The table has 256 bytes, and so occupies only four cache lines.
const (
	isToken = 1 << iota // tchar (RFC 9110 §5.6.2)
	isValue             // field-vchar, obs-text, SP and HTAB (RFC 9110 §5.5)
	// visible ASCII except "#" (RFC 3986 §2), including {, | and }, which browsers send
	isTarget
	// the bytes of isTarget except "?" and the characters that affect Request.Plain: "%", "/" and a backslash
	isPlain
	isHost // unreserved and sub-delims (RFC 3986 §3.2.2)
	isHex
)

var class = func() (t [256]uint8) {
	set := func(bits uint8, chars string) {
		for i := 0; i < len(chars); i++ {
			t[chars[i]] |= bits
		}
	}
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	set(isToken, alnum+"!#$%&'*+-.^_`|~")
	set(isHost, alnum+"-._~"+"!$&'()*+,;=")
	set(isHex, "0123456789abcdefABCDEF")
	for c := 0x21; c < 0x7f; c++ {
		t[c] |= isTarget | isPlain | isValue
	}
	t['#'] &^= isTarget | isPlain
	t['%'] &^= isPlain
	t['?'] &^= isPlain
	t['/'] &^= isPlain
	t['\\'] &^= isPlain
	set(isValue, " \t")
	for c := 0x80; c < 0x100; c++ {
		t[c] |= isValue
	}
	return t
}()

const (
	every01 = 0x0101010101010101
	every60 = 0x60 * every01
	every7f = 0x7f * every01
	every80 = 0x80 * every01
)

// validValue reports whether b contains only bytes that are valid in a field value. validValue checks eight bytes at
// once. If it finds HTAB, which is rare, or an invalid byte, it checks b one byte at a time.
func validValue(b []byte) bool {
	if len(b) < 8 {
		return all(b, isValue)
	}
	var controls uint64 // the top bit of a byte is set for DEL, and for bytes below 0x20
	for i := 0; i < len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[min(i, len(b)-8):])
		// The top bits are cleared before the additions, so no sum carries into the next byte. 0x7f+1 sets the top bit,
		// and c+0x60 does not set the top bit for c below 0x20.
		low := w & every7f
		controls |= (low + every01 | ^(low + every60)) &^ w
	}
	return controls&every80 == 0 || all(b, isValue)
}

func all(b []byte, bits uint8) bool {
	for _, c := range b {
		if class[c]&bits == 0 {
			return false
		}
	}
	return true
}

// EqualFold reports whether b equals lower if case is ignored. lower may contain only lower-case letters, digits, "-",
// "/" and "*". b must not contain control characters, because EqualFold sets bit 5 of each byte, which turns some
// control characters into characters of lower.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

func HasPrefixFold(b []byte, lower string) bool {
	return len(b) >= len(lower) && EqualFold(b[:len(lower)], lower)
}

func (f Field) isNamed(head []byte, lower string) bool { return EqualFold(f.Name.In(head), lower) }

// Values yields the values of all fields with the name lower, which must be in lower case.
func Values(head []byte, fields []Field, lower string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, f := range fields {
			if f.isNamed(head, lower) && !yield(f.Value.In(head)) {
				return
			}
		}
	}
}

// First returns the value of the first field with the name lower, which must be in lower case. ok is false if the field
// is missing.
func First(head []byte, fields []Field, lower string) (value []byte, ok bool) {
	for value := range Values(head, fields, lower) {
		return value, true
	}
	return nil, false
}

// IsLowerToken reports whether name is a token (RFC 9110 §5.6.2) without upper-case letters, as the name of a field
// over HTTP/2 must be (RFC 9113 §8.2.1).
func IsLowerToken(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= 'A' && c <= 'Z' || class[c]&isToken == 0 {
			return false
		}
	}
	return name != ""
}
