package http2

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"hash/maphash"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// headerBlock is a header block that is arriving: the head of a request, or trailers. Its fields are put into the form of HTTP/1.
type headerBlock struct {
	id     uint32
	use    blockUse
	end    bool  // nothing follows on the stream
	since  int64 // time when it began
	frames int   // that it has come in
	coded  int   // bytes of these
	max    int   // bytes that fields may have, and what RFC 9113 §6.5.2 adds for each

	size     int    // that they have
	fault    string // why the request is malformed (RFC 9113 §8.1.1); "" if it is not
	tooLarge bool   // size is above max: fields are left out
	longest  int    // bytes of the longest field, as a line of HTTP/1 without its end; cookies count as they came

	method, scheme, authority, path string // "": missing
	protocol                        string // of an extended CONNECT (RFC 8441)
	extended                        bool   // it is one
	regular                         bool   // a field that is none of them has come
	fields                          []byte // "name: value\r\n" ...
	host                            string // the field of this name
	cookie                          []byte // the values of all fields of that name
	expects                         bool   // 100-continue
	priority                        priority
}

// blockUse is what a header block is for.
type blockUse uint8

const (
	ofRequest blockUse = iota
	ofTrailers
	ofNothing // its stream is gone, but its fields count for the compression of others
)

// begin makes b the block of a stream.
func (b *headerBlock) begin(id uint32, use blockUse, end bool, max int) {
	fields, cookie := b.fields[:0], b.cookie[:0]
	*b = headerBlock{}
	b.id, b.use, b.end, b.max, b.fields, b.cookie, b.priority = id, use, end, max, fields, cookie, defaultPriority
}

// add takes a field.
func (b *headerBlock) add(f hpack.HeaderField) {
	b.size += len(f.Name) + len(f.Value) + 32
	switch {
	case b.use == ofNothing || b.fault != "" || b.tooLarge:
	case b.size > b.max:
		b.tooLarge = true
	case strings.HasPrefix(f.Name, ":"):
		b.addPseudo(f.Name, f.Value)
	case b.use == ofTrailers: // dropped, as in HTTP/1
		if !validName(f.Name) || !validValue(f.Value) {
			b.fault = "malformed trailer"
		}
	default:
		b.regular = true
		b.addField(f.Name, f.Value)
	}
}

// addPseudo takes a pseudo-header field (RFC 9113 §8.3.1).
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

// addField takes a field that is none of those.
func (b *headerBlock) addField(name, value string) {
	switch {
	case !validName(name):
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
		if b.extended { // see appendUpgrade
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

// check looks at what concerns the fields of a request as a whole.
func (b *headerBlock) check() {
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
	case b.method == "CONNECT" && !b.extended: // has neither scheme nor path; refused by package runtime/http1
		b.path = "/"
	case b.scheme == "":
		b.fault = "no :scheme"
	case b.path == "":
		b.fault = "no :path"
	case b.path[0] != '/' && !(b.path == "*" && b.method == "OPTIONS"):
		b.fault = "malformed :path"
	}
}

// appendHead appends the head of the request, in the form of HTTP/1.
func (b *headerBlock) appendHead(dst []byte) []byte {
	method := b.method
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

// appendUpgrade appends the fields with which HTTP/1 asks for another protocol. A key is made up: HTTP/2 needs none, and the upstream of a proxy
// does (RFC 8441 §5).
func appendUpgrade(dst []byte, protocol string) []byte {
	var key [16]byte
	rand.Read(key[:])
	dst = appendField(dst, "connection", "Upgrade")
	dst = appendField(dst, "upgrade", protocol)
	return appendField(dst, "sec-websocket-key", base64.StdEncoding.EncodeToString(key[:]))
}

// validName reports whether a name consists of the characters of tokens, without upper case (RFC 9113 §8.2.1).
func validName(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= 'A' && c <= 'Z' || !http1.IsTokenByte(c) {
			return false
		}
	}
	return name != ""
}

// validValue reports whether a value has nothing that ends a line or a string, and no white space around it (RFC 9113 §8.2.1).
func validValue(value string) bool {
	if value == "" {
		return true
	}
	if first, last := value[0], value[len(value)-1]; first == ' ' || first == '\t' || last == ' ' || last == '\t' {
		return false
	}
	return !strings.ContainsAny(value, "\r\n\x00")
}

// validPseudo reports whether a value can be a part of a request line.
func validPseudo(value string) bool {
	for i := 0; i < len(value); i++ {
		if c := value[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// knownLine is a line of a head that was sent lately: most are the same in many responses, and need not be coded again then. That asks for
// a code that is the same for all connections, so responses do without their tables of fields: looking into these took 4 % of a hello's CPU
// (`bench http2`), and 2.4 KiB of each connection. Its fields take 48 bytes now, and took 30 (h2load).
type knownLine struct {
	text  string // as HTTP/1 has it, without the end of line
	coded []byte // RFC 7541; empty: HTTP/2 does not have it
}

var seed = maphash.MakeSeed()

// maxKnown is how many bytes a line may have that is kept.
const maxKnown = 200

// code returns the code of a line of a head. It is valid until the next call.
func (s *Server) code(line []byte) []byte {
	known := &s.other
	if len(line) <= maxKnown {
		known = &s.known[maphash.Bytes(seed, line)%uint64(len(s.known))]
	}
	if known.text != string(line) {
		known.text, known.coded = string(line), known.coded[:0]
		if f := fieldOf(known.text); f.Name != "" {
			s.coded.Reset()
			s.encoder.WriteField(f) // into coded
			known.coded = append(known.coded, s.coded.Bytes()...)
		}
	}
	return known.coded
}

// emptyTable says that the table of fields has no room (RFC 7541 §6.3).
const emptyTable = 0x20

// makeEncoder makes an encoder that uses no table. Its first field would say so.
func (s *Server) makeEncoder() {
	s.encoder = hpack.NewEncoder(&s.coded)
	s.encoder.SetMaxDynamicTableSizeLimit(0)
	s.encoder.WriteField(hpack.HeaderField{})
}

// fieldOf returns the field of a line of a head, without a name if HTTP/2 does not have it.
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
	if !validName(f.Name) { // a client would give up the connection
		return hpack.HeaderField{}
	}
	f.Sensitive = f.Name == "set-cookie" // not in a table of proxies, where it could be guessed
	return f
}

// sendHead sends the head of a response to x, or one of 1xx: head is what HTTP/1 would send. ends says that nothing follows.
func (st *stream) sendHead(x *exchange.Exchange, head []byte, ends bool) {
	x.Out.Framed += int64(st.sendBlock(head, ends) - len(head)) // that of HTTP/1 was counted
}

// sendBlock sends lines of HTTP/1 as a header block, and returns the size of its frames. ends says that nothing follows.
func (st *stream) sendBlock(lines []byte, ends bool) (size int) {
	c := st.c
	block := c.s.block[:0]
	if c.resized {
		block = append(block, emptyTable)
		c.resized = false
	}
	for len(lines) > 2 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		block = append(block, c.s.code(line)...)
	}
	c.s.block = block
	out := c.output()
	before := len(*out)
	kind, flags := http2.FrameHeaders, http2.Flags(0)
	if ends {
		flags = http2.FlagHeadersEndStream
	}
	for {
		n := min(len(block), c.frame)
		if n == len(block) {
			flags |= http2.FlagHeadersEndHeaders
		}
		*out = appendFrameHeader(*out, n, kind, flags, st.id)
		*out = append(*out, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			break
		}
		kind, flags = http2.FrameContinuation, 0
	}
	return len(*out) - before
}

// appendFrameHeader appends what comes before a payload (RFC 9113 §4.1).
func appendFrameHeader(dst []byte, size int, kind http2.FrameType, flags http2.Flags, id uint32) []byte {
	return append(dst, byte(size>>16), byte(size>>8), byte(size), byte(kind), byte(flags), byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}
