package http1

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"strings"
)

// A FieldBlock collects the fields of a request in a protocol that sends fields instead of lines (HTTP/2, RFC 9113, and
// HTTP/3, RFC 9114), and writes them as an HTTP/1 head, so that one parser decides about each request. The protocol
// decodes the fields (HPACK, QPACK) and passes them to Add. Reset must be called before.
type FieldBlock struct {
	// reason why the request is malformed (RFC 9113 §8.1.1, RFC 9114 §4.1.2); "" if it is valid
	Fault string
	// the fields are larger than their maximum, so further ones are ignored
	TooLarge bool
	Size     int // size of the fields, as defined in RFC 9113 §6.5.2 and RFC 9114 §4.2.2
	// length of the longest header field, written as an HTTP/1 line; received cookie fields are not joined for this
	Longest  int
	Extended bool   // the request is an extended CONNECT (RFC 8441, RFC 9220)
	Protocol string // :protocol of an extended CONNECT
	Expects  bool   // the client waits for 100 (Continue)
	Priority string // value of the field Priority (RFC 9218), or ""

	trailers                        bool
	regular                         bool // a field other than a pseudo-header field was received
	most                            int
	method, scheme, authority, path string
	fields                          []byte // lines of the form "name: value\r\n"
	host                            string
	cookie                          []byte // joined values of all Cookie fields
}

// Reset prepares b for the fields of a request or, if trailers is true, for those after its body. most limits the Size.
// b keeps its memory.
func (b *FieldBlock) Reset(trailers bool, most int) {
	fields, cookie := b.fields[:0], b.cookie[:0]
	*b = FieldBlock{}
	b.trailers, b.most, b.fields, b.cookie = trailers, most, fields, cookie
}

// Held returns the number of bytes that b holds of the request.
func (b *FieldBlock) Held() int { return len(b.path) + len(b.fields) + len(b.cookie) }

func (b *FieldBlock) Add(name, value string) {
	b.Size += len(name) + len(value) + 32
	switch {
	case b.Fault != "" || b.TooLarge:
	case b.Size > b.most:
		b.TooLarge = true
	case strings.HasPrefix(name, ":"):
		b.addPseudo(name, value)
	case b.trailers: // ignore trailers, as in HTTP/1
		if !IsLowerToken(name) || !trimmedLine(value) {
			b.Fault = "malformed trailer"
		}
	default:
		b.regular = true
		b.addField(name, value)
	}
}

// addPseudo handles a pseudo-header field (RFC 9113 §8.3.1).
func (b *FieldBlock) addPseudo(name, value string) {
	var to *string
	switch name {
	case ":method":
		to = &b.method
	case ":scheme":
		to = &b.scheme
	case ":authority":
		to = &b.authority
	case ":path":
		to = &b.path
	case ":protocol":
		to, b.Extended = &b.Protocol, true
	}
	switch {
	case to == nil || b.trailers:
		b.Fault = "unexpected pseudo-header field"
	case b.regular:
		b.Fault = "pseudo-header field behind another field"
	case *to != "":
		b.Fault = "repeated pseudo-header field"
	case value == "" && to != &b.Protocol:
		b.Fault = "empty pseudo-header field"
	case !visible(value):
		b.Fault = "invalid character in a pseudo-header field"
	default:
		*to = value
	}
}

func (b *FieldBlock) addField(name, value string) {
	switch {
	case !IsLowerToken(name):
		b.Fault = "malformed header name"
		return
	case !trimmedLine(value):
		b.Fault = "invalid character in header value"
		return
	}
	b.Longest = max(b.Longest, len(name)+len(": ")+len(value))
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade": // RFC 9113 §8.2.2
		b.Fault = "header field of a connection"
		return
	case "te":
		if value != "trailers" {
			b.Fault = "TE other than trailers"
			return
		}
	case "host":
		switch {
		case b.host != "":
			b.Fault = "more than one Host header"
		case value == "":
			b.Fault = "empty host"
		}
		b.host = value
		return
	case "cookie": // RFC 9113 §8.2.3
		if len(b.cookie) > 0 {
			b.cookie = append(b.cookie, "; "...)
		}
		b.cookie = append(b.cookie, value...)
		return
	case "sec-websocket-key":
		if b.Extended { // ignore the client's key, because appendUpgrade adds one
			return
		}
	case "expect":
		b.Expects = b.Expects || strings.EqualFold(value, "100-continue")
	case "priority":
		b.Priority = value
	}
	b.fields = appendField(b.fields, name, value)
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// AppendHead appends the request as an HTTP/1 head of the version v to dst. If the request is malformed, AppendHead sets
// b.Fault.
func (b *FieldBlock) AppendHead(dst []byte, v Version) []byte {
	method := b.method
	switch {
	case b.Fault != "" || b.TooLarge:
	case b.method == "":
		b.Fault = "no :method"
	case b.Extended && b.method != "CONNECT":
		b.Fault = ":protocol without CONNECT"
	case b.authority != "" && b.host != "" && !strings.EqualFold(b.authority, b.host): // RFC 9113 §8.3.1
		b.Fault = "Host differs from :authority"
	// a CONNECT request has neither scheme nor path; the parser rejects the request
	case b.method == "CONNECT" && !b.Extended:
		b.path = "/"
	case b.scheme == "":
		b.Fault = "no :scheme"
	case b.path == "":
		b.Fault = "no :path"
	case b.path[0] != '/' && !(b.path == "*" && b.method == "OPTIONS"):
		b.Fault = "malformed :path"
	}
	if b.Fault != "" {
		return dst
	}
	if b.Extended {
		method = "GET"
	}
	dst = append(append(dst, method...), ' ')
	dst = append(append(dst, b.path...), ' ')
	dst = append(append(dst, versions[v].name...), "\r\n"...)
	if host := cmp.Or(b.authority, b.host); host != "" {
		dst = appendField(dst, "host", host)
	}
	if b.Extended {
		dst = appendUpgrade(dst, b.Protocol)
	}
	dst = append(dst, b.fields...)
	if len(b.cookie) > 0 {
		dst = append(dst, "cookie: "...)
		dst = append(dst, b.cookie...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendUpgrade appends the fields with which an HTTP/1 request asks for the given protocol, such as "websocket". The
// Sec-WebSocket-Key is random, because HTTP/2 clients do not send a key (RFC 8441 §5), but HTTP/1 upstreams need one.
func appendUpgrade(dst []byte, protocol string) []byte {
	var key [16]byte
	rand.Read(key[:])
	dst = appendField(dst, "connection", "Upgrade")
	dst = appendField(dst, "upgrade", protocol)
	return appendField(dst, "sec-websocket-key", base64.StdEncoding.EncodeToString(key[:]))
}

// trimmedLine reports whether a value is free of CR, LF, NUL and surrounding white space (RFC 9113 §8.2.1).
func trimmedLine(value string) bool {
	if value == "" {
		return true
	}
	if first, last := value[0], value[len(value)-1]; first == ' ' || first == '\t' || last == ' ' || last == '\t' {
		return false
	}
	return !strings.ContainsAny(value, "\r\n\x00")
}

// visible reports whether the value of a pseudo-header field can be a part of an HTTP/1 request line.
func visible(value string) bool {
	for i := 0; i < len(value); i++ {
		if c := value[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// FieldOf returns the field for a line of a response head; name is "" if protocols with fields do not permit it. A
// sensitive field must not be added to the dynamic table of a compression.
func FieldOf(line string) (name, value string, sensitive bool) {
	if status, ok := strings.CutPrefix(line, "HTTP/1.1 "); ok {
		if status = status[:3]; status == "101" { // RFC 8441 §5
			status = "200"
		}
		return ":status", status, false
	}
	name, value, _ = strings.Cut(line, ":")
	name = strings.ToLower(name)
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", // RFC 9113 §8.2.2
		"sec-websocket-accept": // RFC 8441 §5
		return "", "", false
	}
	if !IsLowerToken(name) { // clients would treat an invalid name as a connection error
		return "", "", false
	}
	switch name {
	// sensitive: proxies must not add the value to a dynamic table, otherwise an attacker could guess the value
	case "set-cookie",
		// these values differ in each response and would only fill a dynamic table
		"ratelimit", "server-timing", "x-request-id":
		sensitive = true
	}
	return name, strings.Trim(value, " \t"), sensitive
}
