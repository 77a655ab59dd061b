package remote

import (
	"encoding/binary"
	"errors"

	"fapws/runtime/exchange"
)

// kind says what a frame is.
type kind uint8

// The kinds of frames of the server.
const (
	kindServe   kind = iota + 1 // the settings of the server: begin to serve
	kindRequest                 // a request begins
	kindInput                   // more of it
	kindCancel                  // its response is not wanted any more
	kindOverdue                 // it takes too long
	kindSeen                    // so many bytes of its response were taken by the client
	kindAsk                     // a question; the ticket is its number
	kindEnd                     // no request follows: end when the last one has ended, or after that many nanoseconds
)

// The kinds of frames of the application.
const (
	kindLoaded  kind = iota + 100 // what was loaded
	kindReady                     // requests may come
	kindPart                      // of a response
	kindRefused                   // too many requests wait for this one to begin
	kindAnswer                    // to a question with that number
)

// kindMessage is a message of one side to the other, in order with parts; its first byte is the Message.
const kindMessage kind = 200

// headSize is the size of the head of a frame: the size of its bytes, its ticket, its kind, the number of its descriptors, and two
// bytes for nothing.
const headSize = 12

// maxFrame bounds the bytes of a frame: a message of a WebSocket is one.
const maxFrame = 1 << 30

// frame is one message on the socket.
type frame struct {
	kind   kind
	ticket exchange.Ticket
	data   []byte
	files  []int // descriptors that come along, and belong to the frame
}

func (f *frame) appendHead(b []byte) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(len(f.data)))
	b = binary.NativeEndian.AppendUint32(b, uint32(f.ticket))
	return append(b, byte(f.kind), byte(len(f.files)), 0, 0)
}

// readHead reads the head of a frame, with the size of its bytes and the number of its descriptors.
func readHead(b []byte) (f frame, size, files int) {
	f.ticket, f.kind = exchange.Ticket(binary.NativeEndian.Uint32(b[4:])), kind(b[8])
	return f, int(binary.NativeEndian.Uint32(b)), int(b[9])
}

// errGarbled says that a frame is not as the other side makes it.
var errGarbled = errors.New("the other process does not speak the protocol of this program")

// encoder appends numbers and texts.
type encoder struct{ b []byte }

func (e *encoder) number(n int64) { e.b = binary.AppendVarint(e.b, n) }

func (e *encoder) text(t string) {
	e.number(int64(len(t)))
	e.b = append(e.b, t...)
}

func (e *encoder) bytes(t []byte) {
	e.number(int64(len(t)))
	e.b = append(e.b, t...)
}

// flags appends up to 63 booleans as one number.
func (e *encoder) flags(all ...bool) {
	var n int64
	for i, is := range all {
		if is {
			n |= 1 << i
		}
	}
	e.number(n)
}

// decoder reads them again. What does not fit is zero, and noted.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[size:]
	return n
}

// small is number for one that fits into an int.
func (d *decoder) small() int { return int(d.number()) }

// bytes returns a part of the bytes that are decoded, nil for none.
func (d *decoder) bytes() []byte {
	n := d.number()
	if n < 0 || n > int64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	if n == 0 {
		return nil
	}
	text := d.b[:n:n]
	d.b = d.b[n:]
	return text
}

func (d *decoder) text() string { return string(d.bytes()) }

func (d *decoder) flags(all ...*bool) {
	n := d.number()
	for i, is := range all {
		*is = n&(1<<i) != 0
	}
}

// err is the error of all that was decoded.
func (d *decoder) err() error {
	if d.bad {
		return errGarbled
	}
	return nil
}
