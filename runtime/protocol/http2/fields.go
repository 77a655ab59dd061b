package http2

import (
	"bytes"
	"hash/maphash"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/protocol/http"
)

// knownField is a field of responses that was sent lately: most are the same in many, and cost no allocation then.
type knownField struct {
	line  string // as HTTP/1 has it, without the end of line
	field hpack.HeaderField
	none  bool // HTTP/2 does not have it
}

var seed = maphash.MakeSeed()

// maxKnown is how many bytes a line may have that is kept.
const maxKnown = 200

// fieldOf returns the field of a line of a head. It is valid until the next call.
func (s *Server) fieldOf(line []byte) *knownField {
	known := &s.other
	if len(line) <= maxKnown {
		known = &s.known[maphash.Bytes(seed, line)%uint64(len(s.known))]
	}
	if known.line != string(line) {
		known.set(string(line))
	}
	return known
}

// set makes known the field of a line.
func (known *knownField) set(line string) {
	name, value, _ := strings.Cut(line, ":")
	known.line, known.field = line, hpack.HeaderField{Name: strings.ToLower(name), Value: strings.Trim(value, " \t")}
	switch known.field.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", // RFC 9113 §8.2.2
		"sec-websocket-accept": // RFC 8441 §5
		known.none = true
	default:
		known.none = !validName(known.field.Name) // a client would give up the connection
	}
	known.field.Sensitive = known.field.Name == "set-cookie" // not in a table, where it could be guessed
}

var code200 = []byte("200")

// statuses are the status codes that are common.
var statuses = map[string]hpack.HeaderField{}

func init() {
	for _, code := range []string{"100", "200", "201", "204", "206", "301", "302", "303", "304", "307", "308", "400", "401", "403", "404", "405", "413", "416", "429", "500", "502", "503", "504"} {
		statuses[code] = hpack.HeaderField{Name: ":status", Value: code}
	}
}

// sendHead sends the head of a response to x, or one of 1xx: head is what HTTP/1 would send. ends says that nothing follows.
func (st *stream) sendHead(x *http.Exchange, head []byte, ends bool) {
	c := st.c
	s := c.s
	s.block.Reset()
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	code := line[len("HTTP/1.1 "):][:3]
	if string(code) == "101" { // RFC 8441 §5
		code = code200
	}
	status, common := statuses[string(code)]
	if !common {
		status = hpack.HeaderField{Name: ":status", Value: string(code)}
	}
	c.encoder.WriteField(status) // into memory
	c.encode(rest)
	x.Out.Framed += int64(st.sendBlock(ends)) - int64(len(head)) // that of HTTP/1 was counted
}

// sendTrailers sends the fields behind the body of a response to x, which end the stream (RFC 9113 §8.1).
func (st *stream) sendTrailers(x *http.Exchange, trailers []byte) {
	st.c.s.block.Reset()
	st.c.encode(trailers)
	x.Out.Framed += int64(st.sendBlock(true))
}

// encode adds lines of HTTP/1 to the header block of the Server.
func (c *Conn) encode(lines []byte) {
	for len(lines) > 2 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		if f := c.s.fieldOf(line); !f.none {
			c.encoder.WriteField(f.field)
		}
	}
}

// sendBlock sends the header block of the Server, and returns the size of its frames. ends says that nothing follows.
func (st *stream) sendBlock(ends bool) (size int) {
	c := st.c
	out := c.output()
	before := len(*out)
	kind, flags := http2.FrameHeaders, http2.Flags(0)
	if ends {
		flags = http2.FlagHeadersEndStream
	}
	for block := c.s.block.Bytes(); ; {
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

// appendInterim appends the head of a response of 1xx.
func appendInterim(dst []byte, p *exchange.Part) []byte {
	dst = http1.AppendStatusLine(dst, p.Head.Status, p.Head.Reason)
	return append(append(dst, p.Head.Fields...), "\r\n"...)
}

// appendFrameHeader appends what comes before a payload (RFC 9113 §4.1).
func appendFrameHeader(dst []byte, size int, kind http2.FrameType, flags http2.Flags, id uint32) []byte {
	return append(dst, byte(size>>16), byte(size>>8), byte(size), byte(kind), byte(flags), byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// appendUint32 appends a frame with a number: RST_STREAM or WINDOW_UPDATE.
func appendUint32(dst []byte, kind http2.FrameType, id, value uint32) []byte {
	dst = appendFrameHeader(dst, 4, kind, 0, id)
	return append(dst, byte(value>>24), byte(value>>16), byte(value>>8), byte(value))
}

// appendSettings appends the settings of the server.
func appendSettings(dst []byte, settings []http2.Setting) []byte {
	dst = appendFrameHeader(dst, 6*len(settings), http2.FrameSettings, 0, 0)
	for _, set := range settings {
		dst = append(dst, byte(set.ID>>8), byte(set.ID), byte(set.Val>>24), byte(set.Val>>16), byte(set.Val>>8), byte(set.Val))
	}
	return dst
}

// appendGoAway appends a GOAWAY frame (RFC 9113 §6.8).
func appendGoAway(dst []byte, last uint32, code http2.ErrCode) []byte {
	dst = appendFrameHeader(dst, 8, http2.FrameGoAway, 0, 0)
	return append(dst, byte(last>>24), byte(last>>16), byte(last>>8), byte(last), byte(code>>24), byte(code>>16), byte(code>>8), byte(code))
}
