package websocket

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"unicode/utf8"
)

// ErrNeedMore is the error of Next if all bytes were consumed but no message is complete.
var ErrNeedMore = errors.New("incomplete")

var (
	errLength        = &Error{ProtocolError, "a length is not in its shortest form"}
	errLengthSign    = &Error{ProtocolError, "a length has its highest bit set"}
	errText          = &Error{InvalidData, "a text message is not UTF-8"}
	errTooBig        = &Error{TooBig, "a message is too big"}
	errNotCompressed = &Error{InvalidData, "a message cannot be decompressed"}
)

type Message struct {
	Op Opcode // never Continuation
	// content of the message, or the reason in a Close frame; valid until the next call of the Decoder
	Data []byte
	Code uint16 // the code in a Close frame, or NoStatus
}

// Decoder decodes the frames of a client. Only the field Max must be set before use. A Decoder allocates memory only
// for an incomplete message.
type Decoder struct {
	Max      int       // maximum size of a message after decompression, in bytes
	Inflater *Inflater // nil if compression was not negotiated
	// known size of a message that exceeds Max, in bytes, at most 2 GiB
	TooBig int32
	// if true, Next returns messages without their data, and does not store, decompress or check the data
	Discard bool

	head [14]byte
	have uint8 // number of bytes in head

	op      Opcode // opcode of the frame whose payload is arriving
	fin     bool
	payload bool
	// type of the incomplete message; Continuation if there is none
	message Opcode
	packed  bool
	key     uint32 // masking key for the next byte
	left    int    // number of payload bytes that have not arrived

	buf     []byte // data of the incomplete message
	checked int    // number of bytes in buf that were checked as UTF-8
	control []byte
}

// Next consumes bytes from the front of data and unmasks payloads in place. n is the number of consumed bytes. If a
// message or control frame is complete, Next returns it as m. Otherwise Next has consumed all of data, and the error is
// ErrNeedMore. Any other error has the type *Error, and the connection must be closed without calling Next again. The
// stream of frames can be split at any byte.
func (d *Decoder) Next(data []byte) (m Message, n int, err error) {
	for {
		if !d.payload {
			used, err := d.header(data[n:])
			if n += used; err != nil {
				return Message{}, n, err
			}
		}
		piece := data[n:min(len(data), n+d.left)]
		n += len(piece)
		d.left -= len(piece)
		whole := d.left == 0
		if whole {
			d.payload = false
		}
		d.key = unmask(d.key, piece)
		var done bool
		if d.op.control() {
			m, done, err = d.controlFrame(piece, whole)
		} else {
			m, done, err = d.dataFrame(piece, whole)
		}
		if done || err != nil {
			return m, n, err
		}
		if !whole {
			return Message{}, n, ErrNeedMore
		}
	}
}

// Buffered returns how many bytes of memory are allocated for an incomplete message.
func (d *Decoder) Buffered() int { return cap(d.buf) }

// Drop frees the memory of an incomplete message. Next must not be called again.
func (d *Decoder) Drop() { d.buf = nil }

// Idle reports whether there is no incomplete message or frame, except possibly an incomplete frame header. begun
// contains the received bytes of this header and is valid until the next call of the Decoder.
func (d *Decoder) Idle() (begun []byte, idle bool) {
	return d.head[:d.have], !d.payload && d.message == Continuation
}

// header parses the header of a frame. header reports an error at the first invalid byte.
func (d *Decoder) header(data []byte) (n int, err error) {
	have := int(d.have)
	b := data
	if have > 0 {
		b = append(d.head[:have], data[:min(len(data), len(d.head)-have)]...)
	}
	size, err := d.parse(b)
	if err == ErrNeedMore {
		d.have = uint8(copy(d.head[:], b))
		return len(data), err
	}
	d.have = 0
	return max(size-have, 0), err
}

func (d *Decoder) parse(b []byte) (size int, err error) {
	if len(b) == 0 {
		return 0, ErrNeedMore
	}
	op, fin := Opcode(b[0]&0x0f), b[0]&finBit != 0
	if err := d.allowed(op, fin, b[0]&rsvBits); err != nil {
		return 0, err
	}
	if len(b) < 2 {
		return 0, ErrNeedMore
	}
	if b[1]&maskBit == 0 {
		return 0, &Error{ProtocolError, "a frame is not masked"} // RFC 6455 §5.1
	}
	size = 2
	length := uint64(b[1] &^ maskBit)
	if op.control() && length > maxControl {
		return 0, &Error{ProtocolError, "a control frame is longer than 125 bytes"}
	}
	switch length {
	case 126:
		if size = 4; len(b) < size {
			return 0, ErrNeedMore
		}
		if length = uint64(binary.BigEndian.Uint16(b[2:])); length <= 125 {
			return 0, errLength // RFC 6455 §5.2 requires the minimal number of bytes
		}
	case 127:
		if size = 10; len(b) < size {
			if len(b) > 2 && b[2]&0x80 != 0 {
				return 0, errLengthSign
			}
			return 0, ErrNeedMore
		}
		length = binary.BigEndian.Uint64(b[2:])
		if length>>63 != 0 {
			return 0, errLengthSign
		}
		if length <= 0xffff {
			return 0, errLength
		}
	}
	if !op.control() && length > uint64(d.Max-len(d.buf)) {
		d.TooBig = int32(min(uint64(len(d.buf))+length, math.MaxInt32))
		return 0, errTooBig // reject the message before allocating memory
	}
	if len(b) < size+4 {
		return 0, ErrNeedMore
	}
	d.key = binary.LittleEndian.Uint32(b[size:])
	d.op, d.fin, d.left, d.payload = op, fin, int(length), true
	if op == Text || op == Binary {
		d.message, d.packed = op, b[0]&rsv1 != 0
	}
	return size + 4, nil
}

func (d *Decoder) allowed(op Opcode, fin bool, reserved byte) error {
	switch {
	case !op.known():
		return &Error{ProtocolError, "a reserved opcode"}
	// Only the first frame of a compressed message may have the bit RSV1 (RFC 7692 §6).
	case reserved != 0 && (reserved != rsv1 || d.Inflater == nil || op != Text && op != Binary):
		return &Error{ProtocolError, "a reserved bit is set"}
	case op.control():
		if !fin {
			return &Error{ProtocolError, "a control frame is fragmented"} // RFC 6455 §5.5
		}
	case op == Continuation:
		if d.message == Continuation {
			return &Error{ProtocolError, "a continuation without a message"}
		}
	case d.message != Continuation:
		return &Error{ProtocolError, "a message within another one"}
	}
	return nil
}

func (d *Decoder) dataFrame(piece []byte, whole bool) (m Message, done bool, err error) {
	if d.Discard {
		piece, d.buf, d.checked, d.packed = nil, nil, 0, false
	}
	ends := whole && d.fin
	text := piece
	if !ends || len(d.buf) > 0 { // copy data into d.buf, unless data is a whole message
		d.grow(len(piece))
		d.buf = append(d.buf, piece...)
		text = d.buf[d.checked:]
	}
	if d.message == Text && !d.packed {
		if !ends {
			text = wholeCharacters(text)
		}
		if !utf8.Valid(text) {
			return m, false, errText
		}
		d.checked += len(text)
	}
	if !ends {
		return m, false, nil
	}
	if len(d.buf) > 0 {
		piece = d.buf
	}
	d.buf, d.checked = nil, 0
	return d.end(piece)
}

// grow makes room for n more bytes of the message. It allocates memory only for bytes that have arrived, not for the
// announced length.
func (d *Decoder) grow(n int) {
	need := len(d.buf) + n
	if need <= cap(d.buf) {
		return
	}
	size := max(need, 2*cap(d.buf))
	if d.fin { // the size of the message is known in its last frame
		size = min(size, need+d.left)
	}
	d.buf = append(make([]byte, 0, min(size, d.Max)), d.buf...)
}

func (d *Decoder) end(data []byte) (m Message, done bool, err error) {
	m = Message{Op: d.message, Data: data}
	d.message = Continuation
	if d.packed {
		if m.Data, err = d.Inflater.inflate(data, d.Max); err != nil {
			d.TooBig = int32(min(int64(d.Max)+1, math.MaxInt32))
			return Message{}, false, err
		}
		if m.Op == Text && !utf8.Valid(m.Data) {
			return Message{}, false, errText
		}
	}
	return m, true, nil
}

func (d *Decoder) controlFrame(piece []byte, whole bool) (m Message, done bool, err error) {
	if !whole {
		d.control = append(d.control, piece...)
		return m, false, nil
	}
	if len(d.control) > 0 {
		piece = append(d.control, piece...)
		d.control = nil
	}
	if d.op != Close {
		return Message{Op: d.op, Data: piece}, true, nil
	}
	m = Message{Op: Close, Code: NoStatus}
	switch {
	case len(piece) == 0:
		return m, true, nil
	case len(piece) == 1:
		return m, false, &Error{ProtocolError, "a close frame with one byte"}
	}
	m.Code, m.Data = binary.BigEndian.Uint16(piece), piece[2:]
	if !ValidCode(m.Code) {
		return m, false, &Error{ProtocolError, "a close frame with an invalid code"}
	}
	if !utf8.Valid(m.Data) {
		return m, false, &Error{InvalidData, "the reason of a close frame is not UTF-8"}
	}
	return m, true, nil
}

// unmask applies a masking key (RFC 6455 §5.3) to b in place. The lowest eight bits of key apply to the first byte of
// b. The result is the key for the byte that follows b.
func unmask(key uint32, b []byte) uint32 {
	var keys [128]byte
	for i := 0; i < len(keys); i += 4 {
		binary.LittleEndian.PutUint32(keys[i:], key)
	}
	for rest := b; len(rest) > 0; {
		rest = rest[subtle.XORBytes(rest, rest, keys[:]):]
	}
	return bits.RotateLeft32(key, -8*(len(b)%4))
}

func wholeCharacters(text []byte) []byte {
	for at := len(text) - 1; at >= 0 && at > len(text)-utf8.UTFMax; at-- {
		if utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				text = text[:at]
			}
			break
		}
	}
	return text
}
