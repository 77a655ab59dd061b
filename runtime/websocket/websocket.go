package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// Opcode is the kind of a frame (RFC 6455 §5.2).
type Opcode uint8

// The opcodes; all others are reserved.
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

// Codes of a close frame (RFC 6455 §7.4.1).
const (
	Normal         = 1000
	GoingAway      = 1001
	ProtocolError  = 1002
	NoStatus       = 1005 // none was given; never sent
	Abnormal       = 1006 // the connection broke; never sent
	InvalidData    = 1007 // text that is not UTF-8, or what cannot be decompressed
	TooBig         = 1009
	InternalError  = 1011
	ServiceRestart = 1012
	TryAgainLater  = 1013
)

// ValidCode says whether a close frame may have this code: those that RFC 6455
// §7.4.1 and IANA's registry define for the wire, and those for libraries and
// applications.
func ValidCode(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return true
	}
	return false
}

// Error is the reason why a connection ends: its client has broken the protocol or a limit. It is sent in a close
// frame.
type Error struct {
	Code uint16
	Text string // human-readable; short enough for a close frame
}

func (e *Error) Error() string { return e.Text }

const (
	finBit  = 0x80
	rsv1    = 0x40 // the message is compressed (RFC 7692 §6)
	rsvBits = 0x70
	maskBit = 0x80

	// maxControl is the longest payload of a control frame (RFC 6455 §5.5).
	maxControl = 125

	// MaxReason is the longest reason of a close frame, in bytes.
	MaxReason = maxControl - 2

	// MaxHeader is the longest header of a frame that a server sends.
	MaxHeader = 10
)

// AppendHeader appends the header of a frame that is a whole message, or a control
// frame, with so many bytes of payload. compressed: the payload is.
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

// AppendFrame appends a frame that is a whole message, or a control frame.
func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	return append(AppendHeader(dst, op, false, len(payload)), payload...)
}

// AppendClose appends a close frame. NoStatus and 0 leave its payload empty; a code
// that may not be sent becomes InternalError. A reason is cut to what fits, and left
// out if it is not UTF-8.
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
		reason = reason[:MaxReason]
		for r, n := utf8.DecodeLastRune(reason); r == utf8.RuneError && n == 1; r, n = utf8.DecodeLastRune(reason) {
			reason = reason[:len(reason)-1]
		}
	}
	dst = AppendHeader(dst, Close, false, 2+len(reason))
	dst = append(dst, byte(code>>8), byte(code))
	return append(dst, reason...)
}
