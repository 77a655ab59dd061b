package websocket

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math/bits"
	"unicode/utf8"
)

// ErrNeedMore means that all bytes were consumed but no message is complete.
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
	// the reason in a Close frame; valid until the next call of the Decoder
	Data []byte
	Code uint16 // the code of a Close; NoStatus if it has none
}

// Decoder decodes the frames of a client. Max must be set; otherwise the zero value is ready for use. Decoder needs
// additional memory only for an incomplete message.
type Decoder struct {
	Max      int       // maximum size of a message after decompression, in bytes
	Inflater *Inflater // nil if compression was not negotiated
	TooBig   int       // known size of the message that exceeded Max
	// return messages without their bytes, which are neither stored nor decompressed nor checked
	Discard bool

	head [14]byte
	have uint8 // number of bytes in head

	op      Opcode // opcode of the frame whose payload is arriving
	fin     bool
	payload bool
	key     uint32 // masking key for the next byte
	left    int    // missing bytes of the payload

	message Opcode // type of the incomplete message; Continuation if none
	packed  bool
	buf     []byte // bytes of the message so far
	checked int    // bytes in buf that were checked as UTF-8
	control []byte
}

// Next consumes bytes from the front of data and unmasks payloads in place. n is the number of consumed bytes. m is
// the message or control frame that became complete. Otherwise the error is ErrNeedMore, and all of data was
// consumed. Any other error is an *Error: the connection must be closed, and Next must not be called again. Data may
// be split anywhere.
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

// Buffered returns the size of the memory for an incomplete message in bytes.
func (d *Decoder) Buffered() int { return cap(d.buf) }

// Idle reports whether no message or control frame has begun, except for the first bytes of a header, which it returns.
// The returned bytes are valid until the next call of the Decoder.
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
		d.TooBig = len(d.buf) + int(min(length, 1<<31-1))
		return 0, errTooBig // reject the message before memory is allocated for it
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
	// Compression is signaled only in the first frame of a message (RFC 7692 §6).
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
	if !ends || len(d.buf) > 0 { // copy data, unless it is a whole message
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

// grow makes room for n more bytes. grow allocates according to the bytes that have arrived, not the announced length.
func (d *Decoder) grow(n int) {
	need := len(d.buf) + n
	if need <= cap(d.buf) {
		return
	}
	size := max(need, 2*cap(d.buf))
	if d.fin { // the size is known at the last frame
		size = min(size, need+d.left)
	}
	d.buf = append(make([]byte, 0, min(size, d.Max)), d.buf...)
}

func (d *Decoder) end(data []byte) (m Message, done bool, err error) {
	m = Message{Op: d.message, Data: data}
	d.message = Continuation
	if d.packed {
		if m.Data, err = d.Inflater.inflate(data, d.Max); err != nil {
			d.TooBig = d.Max + 1
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
// b. The result is the key for the byte after b.
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
