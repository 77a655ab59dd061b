package websocket

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/http1"
)

type Opcode uint8

const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

func (o Opcode) control() bool { return o&0x8 != 0 }

func (o Opcode) known() bool { return o <= Binary || o >= Close && o <= Pong }

// Close codes (RFC 6455 §7.4.1).
const (
	Normal        = 1000
	GoingAway     = 1001
	ProtocolError = 1002
	NoStatus      = 1005 // the close frame has no code; never sent
	Abnormal      = 1006 // the connection ended without a close frame; never sent
	// text that is not UTF-8, or a message that cannot be decompressed
	InvalidData    = 1007
	TooBig         = 1009
	InternalError  = 1011
	ServiceRestart = 1012
	TryAgainLater  = 1013
)

// ValidCode reports whether a close frame may have this code. The valid codes are the codes that RFC 6455 §7.4.1 and
// IANA's registry define for close frames, and the codes 3000 to 4999, which are for libraries and applications.
func ValidCode(code uint16) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}

// Error describes how a client has violated the protocol or a limit. The server sends the Error in a close frame and
// ends the connection.
type Error struct {
	Code uint16
	Text string // human-readable, and short enough for a close frame
}

func (e *Error) Error() string { return e.Text }

const (
	finBit  = 0x80
	rsv1    = 0x40 // the message is compressed (RFC 7692 §6)
	rsvBits = 0x70
	maskBit = 0x80

	// maximum payload of a control frame, in bytes (RFC 6455 §5.5)
	maxControl = 125

	// maximum reason of a close frame, in bytes
	MaxReason = maxControl - 2

	// maximum header of a frame that a server sends, in bytes
	MaxHeader = 10
)

// AppendHeader appends the header of a frame whose payload has size bytes.
func AppendHeader(dst []byte, op Opcode, compressed bool, size int) []byte {
	first := finBit | byte(op)
	if compressed {
		first |= rsv1
	}
	switch {
	case size <= 125:
		return append(dst, first, byte(size))
	case size <= 0xffff:
		return append(dst, first, 126, byte(size>>8), byte(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(size))
}

func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	return append(AppendHeader(dst, op, false, len(payload)), payload...)
}

// AppendClose appends a close frame. The payload is empty if code is NoStatus or 0. Any other invalid code is replaced
// with InternalError. A reason that is too long is truncated, and a reason that is not UTF-8 is omitted.
func AppendClose(dst []byte, code uint16, reason []byte) []byte {
	if code == NoStatus || code == 0 {
		return AppendFrame(dst, Close, nil)
	}
	if !ValidCode(code) {
		code = InternalError
	}
	if !utf8.Valid(reason) {
		reason = nil
	}
	if len(reason) > MaxReason {
		reason = bytes.ToValidUTF8(reason[:MaxReason], nil)
	}
	dst = AppendHeader(dst, Close, false, 2+len(reason))
	dst = append(dst, byte(code>>8), byte(code))
	return append(dst, reason...)
}

type Handshake struct {
	Accept      [28]byte
	Compression Compression
}

type Refusal struct {
	Status int // 400 or 426
	Text   string
	// header fields of the response, as lines of the form "Name: value\r\n"
	Fields string
}

func bad(text string) *Refusal { return &Refusal{Status: 400, Text: text} }

var refuseVersion = &Refusal{
	Status: 426, // RFC 6455 §4.4, RFC 9110 §15.5.22
	Text:   "Sec-WebSocket-Version must be 13",
	Fields: "Sec-WebSocket-Version: 13\r\n", // the server adds an Upgrade field to every 426
}

// Asked reports whether a request asks for a WebSocket. The request must be an HTTP/1.1 GET (RFC 6455 §4.1) with
// "Connection: upgrade" (RFC 9110 §7.8).
func Asked(r *http1.Request, head []byte) bool {
	if r.Version == http1.HTTP10 || !r.Upgrade || !r.Get {
		return false
	}
	for value := range http1.Values(head, r.Fields, "upgrade") {
		if httpguts.HeaderValuesContainsToken([]string{string(value)}, "websocket") {
			return true
		}
	}
	return false
}

// Check returns the parameters of a request for which Asked is true, or a Refusal if the request violates RFC 6455
// §4.2.1.
func Check(r *http1.Request, head []byte, deflate bool) (h Handshake, refusal *Refusal) {
	if r.Body == http1.Chunked || r.Length > 0 {
		return h, bad("a WebSocket request must not have a body")
	}
	all := func(name string) [][]byte { return slices.Collect(http1.Values(head, r.Fields, name)) }
	keys, versions, extensions := all("sec-websocket-key"), all("sec-websocket-version"),
		all("sec-websocket-extensions")
	switch {
	case len(keys) > 1 || len(versions) > 1:
		return h, bad("Sec-WebSocket-Key or Sec-WebSocket-Version is there twice")
	case len(versions) == 0 || string(versions[0]) != "13":
		return h, refuseVersion
	case len(keys) == 0:
		return h, bad("Sec-WebSocket-Key is missing")
	}
	key := keys[0]
	var nonce [18]byte
	if n, err := base64.StdEncoding.Decode(nonce[:], key[:min(len(key), 24)]); err != nil || n != 16 || len(key) != 24 {
		return h, bad("Sec-WebSocket-Key is not the base64 of 16 bytes")
	}
	// Several Sec-WebSocket-Extensions fields form one list (RFC 6455 §9.1).
	compression, valid := negotiate(bytes.Join(extensions, []byte(",")))
	if !valid {
		return h, bad("Sec-WebSocket-Extensions is malformed")
	}
	if deflate {
		h.Compression = compression
	}
	h.Accept = AcceptKey(key)
	return h, nil
}

func AcceptKey(key []byte) (accept [28]byte) {
	sum := sha1.Sum(append(bytes.Clone(key), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	base64.StdEncoding.Encode(accept[:], sum[:])
	return accept
}
