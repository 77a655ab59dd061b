package websocket

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"unicode/utf8"

	"fapws/runtime/system"
)

// ErrNeedMore is the error of Next if all bytes were consumed but no message is complete.
var ErrNeedMore = errors.New("incomplete")

var (
	errText          = &Error{InvalidData, "a text message is not UTF-8"}
	errTooBig        = &Error{TooBig, "a message is too big"}
	errNoMemory      = &Error{TooBig, "the system has no memory for a message"}
	errNotCompressed = &Error{InvalidData, "a message cannot be decompressed"}
)

type Message struct {
	Op Opcode // never Continuation
	// content of the message, or the reason in a Close frame; valid until the next call of Next or Release
	Data []byte
	Code uint16 // the code in a Close frame, or NoStatus
}

// Decoder decodes the frames of a client. The fields Max and Regions must be set before use. A Decoder allocates memory
// only for an incomplete message.
type Decoder struct {
	Max      int             // maximum size of a message after decompression, in bytes
	Inflater *Inflater       // nil if compression was not negotiated
	Regions  *system.Regions // memory of large messages
	// known size of a message that exceeds Max, in bytes, at most 2 GiB
	TooBig int32
	// if true, Next returns messages without their data, and does not store, decompress or check the data
	Discard bool

	head [14]byte
	have uint8 // number of bytes in head

	op      Opcode // opcode of the frame whose payload is arriving
	fin     bool
	payload bool // more bytes of this payload must arrive
	// type of the incomplete message; Continuation if there is none
	message Opcode
	packed  bool
	key     uint32 // masking key for the next byte
	left    int    // number of payload bytes that have not arrived

	// data of the incomplete message, or of the last message until Release; if cap(buf) is at least system.RegionUnit,
	// the memory is a region
	buf     []byte
	checked int // number of bytes in buf that were checked as UTF-8
	control []byte
}

// Next consumes bytes from the front of data and unmasks payloads in place. n is the number of consumed bytes. If a
// message or control frame is complete, Next returns it as m. Otherwise Next has consumed all of data, and the error is
// ErrNeedMore. Any other error has the type *Error, and the connection must be closed without calling Next again. The
// stream of frames can be split at any byte.
func (d *Decoder) Next(data []byte) (m Message, n int, err error) {
	d.Release()
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
		d.payload = d.left > 0
		d.key = unmask(d.key, piece)
		if d.op.control() {
			m, err = d.controlFrame(piece)
		} else {
			m, err = d.dataFrame(piece)
		}
		if err != ErrNeedMore || d.payload {
			return m, n, err
		}
	}
}

// Buffered returns how many bytes of memory are allocated for an incomplete message.
func (d *Decoder) Buffered() int {
	if d.message == Continuation {
		return 0
	}
	return cap(d.buf)
}

// Left returns how many bytes of the current frame of a message have not arrived.
func (d *Decoder) Left() int {
	if !d.payload || d.op.control() {
		return 0
	}
	return d.left
}

// Drop frees the memory of d. Next must not be called again.
func (d *Decoder) Drop() { d.free() }

// Release frees the memory of the last message, whose Data is then invalid.
func (d *Decoder) Release() {
	if d.message == Continuation {
		d.free()
	}
}

func (d *Decoder) free() {
	if n := cap(d.buf); n >= system.RegionUnit {
		d.Regions.Give(d.buf[:n])
	}
	d.buf, d.checked = nil, 0
}

// Tail returns memory for the next bytes of a large message whose frame has not arrived completely; it is empty if there
// is none. If these bytes are read into Tail, Next does not copy them.
func (d *Decoder) Tail() []byte {
	if cap(d.buf) < system.RegionUnit {
		return nil
	}
	return d.buf[len(d.buf):min(cap(d.buf), len(d.buf)+d.Left())]
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
	size, least := 2, uint64(0)
	length := uint64(b[1] &^ maskBit)
	switch {
	case op.control() && length > maxControl:
		return 0, &Error{ProtocolError, "a control frame is longer than 125 bytes"}
	case length == 126:
		size, least = 4, 126
	case length == 127:
		size, least = 10, 1<<16
	}
	if size == 10 && len(b) > 2 && b[2]&0x80 != 0 {
		return 0, &Error{ProtocolError, "a length has its highest bit set"}
	}
	if len(b) < size {
		return 0, ErrNeedMore
	}
	if size > 2 {
		length = 0
		for _, next := range b[2:size] {
			length = length<<8 | uint64(next)
		}
	}
	if length < least { // RFC 6455 §5.2 requires the minimal number of bytes
		return 0, &Error{ProtocolError, "a length is not in its shortest form"}
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

// dataFrame processes a piece of the payload of a data frame. The error is ErrNeedMore if the message is not complete.
func (d *Decoder) dataFrame(piece []byte) (m Message, err error) {
	if d.Discard {
		d.free()
		piece, d.packed = nil, false
	}
	ends := d.fin && !d.payload
	text := piece
	if !ends || len(d.buf) > 0 { // copy data into d.buf, unless data is a whole message
		if tail := d.buf[len(d.buf):cap(d.buf)]; len(piece) > 0 && len(tail) >= len(piece) && &tail[0] == &piece[0] {
			d.buf = d.buf[:len(d.buf)+len(piece)]
		} else {
			if err := d.grow(len(piece)); err != nil {
				return m, err
			}
			d.buf = append(d.buf, piece...)
		}
		text = d.buf[d.checked:]
	}
	if d.message == Text && !d.packed {
		if !ends {
			text = wholeCharacters(text)
		}
		if !utf8.Valid(text) {
			return m, errText
		}
		d.checked += len(text)
	}
	if !ends {
		return m, ErrNeedMore
	}
	if len(d.buf) > 0 {
		piece = d.buf
	}
	d.checked = 0
	return d.end(piece)
}

// grow makes room for n more bytes of the message. It allocates memory in proportion to the bytes that have arrived, not
// for the announced length.
func (d *Decoder) grow(n int) error {
	need := len(d.buf) + n
	if need <= cap(d.buf) {
		return nil
	}
	size := max(need, 2*cap(d.buf))
	if n >= fastPiece {
		size = max(size, fastBuffer)
	}
	if d.fin { // the size of the message is known in its last frame
		size = min(size, need+d.left)
	}
	size = min(size, d.Max)
	if size < system.RegionUnit {
		d.buf = append(make([]byte, 0, size), d.buf...)
		return nil
	}
	var old []byte
	if cap(d.buf) >= system.RegionUnit {
		old = d.buf[:cap(d.buf)]
	}
	region := d.Regions.Take(old, system.RoundRegion(size))
	if region == nil {
		return errNoMemory
	}
	if old == nil {
		copy(region, d.buf)
	}
	d.buf = region[:len(d.buf)]
	return nil
}

// After a piece of at least fastPiece bytes, the memory for a message has at least fastBuffer bytes, because the rest
// arrives soon.
const (
	fastPiece  = 32 << 10
	fastBuffer = 1 << 20
)

func (d *Decoder) end(data []byte) (m Message, err error) {
	m = Message{Op: d.message, Data: data}
	d.message = Continuation
	if d.packed {
		if m.Data, err = d.Inflater.inflate(data, d.Max); err != nil {
			d.TooBig = int32(min(int64(d.Max)+1, math.MaxInt32))
			return Message{}, err
		}
		if m.Op == Text && !utf8.Valid(m.Data) {
			return Message{}, errText
		}
	}
	return m, nil
}

// controlFrame is like dataFrame, but for a control frame.
func (d *Decoder) controlFrame(piece []byte) (m Message, err error) {
	if d.payload {
		d.control = append(d.control, piece...)
		return m, ErrNeedMore
	}
	if len(d.control) > 0 {
		piece = append(d.control, piece...)
		d.control = nil
	}
	if d.op != Close {
		return Message{Op: d.op, Data: piece}, nil
	}
	switch len(piece) {
	case 0:
		return Message{Op: Close, Code: NoStatus}, nil
	case 1:
		return m, &Error{ProtocolError, "a close frame with one byte"}
	}
	m = Message{Op: Close, Code: binary.BigEndian.Uint16(piece), Data: piece[2:]}
	if !ValidCode(m.Code) {
		return m, &Error{ProtocolError, "a close frame with an invalid code"}
	}
	if !utf8.Valid(m.Data) {
		return m, &Error{InvalidData, "the reason of a close frame is not UTF-8"}
	}
	return m, nil
}

// unmask applies a masking key (RFC 6455 §5.3) to b in place. The lowest eight bits of key apply to the first byte of
// b. The result is the key for the byte that follows b.
func unmask(key uint32, b []byte) uint32 {
	if len(b) > 4<<10 {
		xor(b, make([]byte, 2<<10), key)
	} else {
		xor(b, make([]byte, 128), key)
	}
	return bits.RotateLeft32(key, -8*(len(b)%4))
}

// xor fills keys, which is memory, with key, and applies them to b.
func xor(b, keys []byte, key uint32) {
	for i := 0; i < len(keys); i += 4 {
		binary.LittleEndian.PutUint32(keys[i:], key)
	}
	for len(b) > 0 {
		b = b[subtle.XORBytes(b, b, keys):]
	}
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
