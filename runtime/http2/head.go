package http2

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"hash/maphash"
	"strings"

	"golang.org/x/net/http2/hpack"

	"fapws/runtime/http1"
)

// A headerBlock collects the fields of a header block as the lines of an HTTP/1 head.
type headerBlock struct {
	emit   func(hpack.HeaderField) // the method add, for the decoder
	id     uint32
	use    blockUse
	end    bool
	since  int64 // time of the first frame of the block
	frames int
	coded  int // number of received bytes, in HPACK code
	max    int

	size int // size of the fields, as defined in RFC 9113 §6.5.2
	// reason why the request is malformed (RFC 9113 §8.1.1); "" if the request is valid
	fault string
	// the head is larger than the field max, so further header fields are ignored
	tooLarge bool
	// length of the longest header field, written as an HTTP/1 line; received cookie fields are not joined for this
	longest int

	method, scheme, authority, path string
	protocol                        string // :protocol of an extended CONNECT (RFC 8441)
	extended                        bool
	regular                         bool   // a field other than a pseudo-header field was received
	fields                          []byte // lines of the form "name: value\r\n"
	host                            string
	cookie                          []byte // joined values of all Cookie fields
	expects                         bool
	priority                        priority
}

type blockUse uint8

const (
	ofRequest blockUse = iota
	ofTrailers
	// a block of a stream that has ended; it must be decoded to update the dynamic table
	ofNothing
)

func newHeaderBlock() *headerBlock {
	b := new(headerBlock)
	b.emit = b.add
	return b
}

func (b *headerBlock) begin(id uint32, use blockUse, end bool, max int) {
	emit, fields, cookie := b.emit, b.fields[:0], b.cookie[:0]
	*b = headerBlock{}
	b.id, b.use, b.end, b.max, b.priority = id, use, end, max, defaultPriority
	b.emit, b.fields, b.cookie = emit, fields, cookie
}

func (b *headerBlock) add(f hpack.HeaderField) {
	b.size += len(f.Name) + len(f.Value) + 32
	switch {
	case b.use == ofNothing || b.fault != "" || b.tooLarge:
	case b.size > b.max:
		b.tooLarge = true
	case strings.HasPrefix(f.Name, ":"):
		b.addPseudo(f.Name, f.Value)
	case b.use == ofTrailers: // ignore trailers, as in HTTP/1
		if !http1.IsLowerToken(f.Name) || !validValue(f.Value) {
			b.fault = "malformed trailer"
		}
	default:
		b.regular = true
		b.addField(f.Name, f.Value)
	}
}

// addPseudo handles a pseudo-header field (RFC 9113 §8.3.1).
func (b *headerBlock) addPseudo(name, value string) {
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
		to, b.extended = &b.protocol, true
	}
	switch {
	case to == nil || b.use == ofTrailers:
		b.fault = "unexpected pseudo-header field"
	case b.regular:
		b.fault = "pseudo-header field behind another field"
	case *to != "":
		b.fault = "repeated pseudo-header field"
	case value == "" && to != &b.protocol:
		b.fault = "empty pseudo-header field"
	case !validPseudo(value):
		b.fault = "invalid character in a pseudo-header field"
	default:
		*to = value
	}
}

func (b *headerBlock) addField(name, value string) {
	switch {
	case !http1.IsLowerToken(name):
		b.fault = "malformed header name"
		return
	case !validValue(value):
		b.fault = "invalid character in header value"
		return
	}
	b.longest = max(b.longest, len(name)+len(": ")+len(value))
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade": // RFC 9113 §8.2.2
		b.fault = "header field of a connection"
		return
	case "te":
		if value != "trailers" {
			b.fault = "TE other than trailers"
			return
		}
	case "host":
		switch {
		case b.host != "":
			b.fault = "more than one Host header"
		case value == "":
			b.fault = "empty host"
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
		if b.extended { // ignore the client's key, because appendUpgrade adds one
			return
		}
	case "expect":
		b.expects = b.expects || strings.EqualFold(value, "100-continue")
	case "priority":
		b.priority.parse(value)
	}
	b.fields = appendField(b.fields, name, value)
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// appendHead appends the request as an HTTP/1 head to dst. If the request is malformed, appendHead sets b.fault.
func (b *headerBlock) appendHead(dst []byte) []byte {
	method := b.method
	switch {
	case b.fault != "" || b.tooLarge:
	case b.method == "":
		b.fault = "no :method"
	case b.extended && b.method != "CONNECT":
		b.fault = ":protocol without CONNECT"
	case b.extended && b.end:
		b.fault = "the end of a stream that is to carry another protocol"
	case b.authority != "" && b.host != "" && !strings.EqualFold(b.authority, b.host): // RFC 9113 §8.3.1
		b.fault = "Host differs from :authority"
	// a CONNECT request has neither scheme nor path; package runtime/http1 rejects the request
	case b.method == "CONNECT" && !b.extended:
		b.path = "/"
	case b.scheme == "":
		b.fault = "no :scheme"
	case b.path == "":
		b.fault = "no :path"
	case b.path[0] != '/' && !(b.path == "*" && b.method == "OPTIONS"):
		b.fault = "malformed :path"
	}
	if b.fault != "" {
		return dst
	}
	if b.extended {
		method = "GET"
	}
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, b.path...)
	dst = append(dst, " HTTP/2.0\r\n"...)
	if host := cmp.Or(b.authority, b.host); host != "" {
		dst = appendField(dst, "host", host)
	}
	if b.extended {
		dst = appendUpgrade(dst, b.protocol)
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

// validValue reports whether a value is free of CR, LF, NUL and surrounding white space (RFC 9113 §8.2.1).
func validValue(value string) bool {
	if value == "" {
		return true
	}
	if first, last := value[0], value[len(value)-1]; first == ' ' || first == '\t' || last == ' ' || last == '\t' {
		return false
	}
	return !strings.ContainsAny(value, "\r\n\x00")
}

// validPseudo reports whether the value of a pseudo-header field can be a part of an HTTP/1 request line.
func validPseudo(value string) bool {
	for i := 0; i < len(value); i++ {
		if c := value[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// A knownLine caches the HPACK code of a line in a response head, because most lines recur in many responses. Responses
// use no dynamic table, so the code is the same for all connections.
type knownLine struct {
	text string // the line in the form of HTTP/1, without CRLF
	// HPACK code (RFC 7541); empty if HTTP/2 does not permit the field
	coded []byte
}

var seed = maphash.MakeSeed()

const maxKnown = 200

// code returns the HPACK code of a line in a response head, valid until the next call.
func (s *Server) code(line []byte) []byte {
	known := &s.other
	if len(line) <= maxKnown {
		known = &s.known[maphash.Bytes(seed, line)%uint64(len(s.known))]
	}
	if known.text != string(line) {
		known.text, known.coded = string(line), known.coded[:0]
		if f := fieldOf(known.text); f.Name != "" {
			s.coded.Reset()
			s.encoder.WriteField(f)
			known.coded = append(known.coded, s.coded.Bytes()...)
		}
	}
	return known.coded
}

const emptyTable = 0x20 // sets the size of the dynamic table to 0 (RFC 7541 §6.3)

// makeEncoder makes an encoder without a dynamic table. The encoder writes the change of the table size before the
// first field. makeEncoder therefore encodes an empty field, whose code is discarded.
func (s *Server) makeEncoder() {
	s.encoder = hpack.NewEncoder(&s.coded)
	s.encoder.SetMaxDynamicTableSizeLimit(0)
	s.encoder.WriteField(hpack.HeaderField{})
}

// fieldOf parses a line of a response head; the name is empty if HTTP/2 does not permit the field.
func fieldOf(line string) hpack.HeaderField {
	if status, ok := strings.CutPrefix(line, "HTTP/1.1 "); ok {
		if status = status[:3]; status == "101" { // RFC 8441 §5
			status = "200"
		}
		return hpack.HeaderField{Name: ":status", Value: status}
	}
	name, value, _ := strings.Cut(line, ":")
	f := hpack.HeaderField{Name: strings.ToLower(name), Value: strings.Trim(value, " \t")}
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", // RFC 9113 §8.2.2
		"sec-websocket-accept": // RFC 8441 §5
		return hpack.HeaderField{}
	}
	if !http1.IsLowerToken(f.Name) { // clients would treat an invalid name as a connection error
		return hpack.HeaderField{}
	}
	switch f.Name {
	// sensitive: proxies must not add the value to a dynamic table, otherwise an attacker could guess the value
	case "set-cookie",
		// these values differ in each response and would only fill a dynamic table
		"ratelimit", "server-timing", "x-request-id":
		f.Sensitive = true
	}
	return f
}
