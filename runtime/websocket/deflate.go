package websocket

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/flate"
)

// tail is the bytes that a sender takes off each message (RFC 7692 §7.2.1), and behind it an empty last block, with
// which the decompressor ends.
const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// keepScratch is how much of the memory for large messages is kept for the next.
const keepScratch = 64 << 10

// Inflater decompresses messages (RFC 7692 §7.2.2) that do not refer to others: with
// client_no_context_takeover. The zero value is ready. It has about 50 KiB once it
// was used.
type Inflater struct {
	in  pieces
	r   io.ReadCloser
	out []byte
}

// inflate returns what b becomes, valid until the next call, or an *Error; max is
// its most length.
func (f *Inflater) inflate(b []byte, max int) ([]byte, error) {
	if len(b) == 0 { // RFC 7692 §7.2.3.6 wants a byte, but zlib takes this, too
		return nil, nil
	}
	f.in.reset(b)
	if f.r == nil {
		f.r = flate.NewReader(&f.in)
	} else if err := f.r.(flate.Resetter).Reset(&f.in, nil); err != nil {
		return nil, errNotCompressed
	}
	defer f.in.reset(nil)
	if cap(f.out) > keepScratch {
		f.out = nil
	}
	f.out = f.out[:0]
	for {
		if len(f.out) == cap(f.out) {
			if len(f.out) > max {
				return nil, errTooBig
			}
			grown := make([]byte, len(f.out), min(max+1, 4<<10+2*cap(f.out)))
			copy(grown, f.out)
			f.out = grown
		}
		n, err := f.r.Read(f.out[len(f.out):cap(f.out)])
		f.out = f.out[:len(f.out)+n]
		switch {
		case len(f.out) > max:
			return nil, errTooBig
		case err == io.EOF:
			// A last block of the client's own may end the data earlier, with at most
			// the beginning of an empty one behind it (RFC 7692 §7.2.3.5).
			if left := f.in.left(); left > len(tail)+1 {
				return nil, errNotCompressed
			}
			return f.out, nil
		case err != nil:
			return nil, errNotCompressed
		}
	}
}

// pieces reads a message and then tail, without the copy that bufio would make.
type pieces struct {
	b  []byte
	at int
	in bool // b is tail
}

func (p *pieces) reset(b []byte) { *p = pieces{b: b} }

func (p *pieces) left() int {
	n := len(p.b) - p.at
	if !p.in {
		n += len(tail)
	}
	return n
}

var tailBytes = []byte(tail)

// more goes on to tail; false: there is no more.
func (p *pieces) more() bool {
	if p.in {
		return false
	}
	p.b, p.at, p.in = tailBytes, 0, true
	return true
}

// ReadByte implements io.ByteReader.
func (p *pieces) ReadByte() (byte, error) {
	if p.at == len(p.b) && !p.more() {
		return 0, io.EOF
	}
	c := p.b[p.at]
	p.at++
	return c, nil
}

// Read implements io.Reader.
func (p *pieces) Read(to []byte) (int, error) {
	if p.at == len(p.b) && !p.more() {
		return 0, io.EOF
	}
	n := copy(to, p.b[p.at:])
	p.at += n
	return n, nil
}

// Deflater compresses messages that do not refer to others: with
// server_no_context_takeover. The zero value is ready. A window that was used has
// about 1 MiB.
type Deflater struct {
	writers [16]*flate.Writer // by bits of the window
	out     bytes.Buffer
}

// DeflateFrom and DeflateUpTo are the sizes of messages, in bytes, that are worth
// compressing: smaller ones gain nothing, and the loop would stand still meanwhile
// for larger ones.
const (
	DeflateFrom = 256
	DeflateUpTo = 1 << 20
)

// Deflate returns b compressed for a client whose window has so many bits, valid
// until the next call, and whether it is shorter than b.
func (f *Deflater) Deflate(b []byte, bits uint8) (out []byte, ok bool) {
	w := f.writers[bits]
	if f.out.Cap() > keepScratch {
		f.out = bytes.Buffer{}
	}
	f.out.Reset()
	if w == nil {
		var err error
		if bits == MaxWindow {
			w, err = flate.NewWriter(&f.out, flate.BestSpeed)
		} else {
			w, err = flate.NewWriterWindow(&f.out, 1<<bits)
		}
		if err != nil {
			return nil, false
		}
		f.writers[bits] = w
	} else {
		w.Reset(&f.out)
	}
	if _, err := w.Write(b); err != nil {
		return nil, false
	}
	if err := w.Flush(); err != nil {
		return nil, false
	}
	out = bytes.TrimSuffix(f.out.Bytes(), tailBytes[:4])
	return out, len(out) < len(b)
}
