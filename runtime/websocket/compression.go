package websocket

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"

	"fapws/runtime/http1"

	"github.com/klauspost/compress/flate"
	"golang.org/x/net/http/httpguts"
)

// MaxWindow is the number of bits of the largest window of deflate.
const MaxWindow = 15

// Compression is the agreed compression: permessage-deflate (RFC 7692) without context takeover on either side, so
// that an idle connection keeps no window.
type Compression struct {
	On     bool
	Bits   uint8 // of the window of the server's messages: 8 to MaxWindow
	Limits bool  // the client has asked for Bits
}

// AppendTo appends the value of Sec-WebSocket-Extensions that accepts it.
func (c Compression) AppendTo(dst []byte) []byte {
	dst = append(dst, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"...)
	if c.Limits {
		dst = strconv.AppendUint(append(dst, "; server_max_window_bits="...), uint64(c.Bits), 10)
	}
	return dst
}

// negotiate takes the first offer of permessage-deflate in a value of
// Sec-WebSocket-Extensions that can be accepted; other extensions, and offers with
// parameters that RFC 7692 §7.1 does not allow, are declined. valid: the value has
// the syntax of RFC 6455 §9.1.
func negotiate(value []byte) (c Compression, valid bool) {
	s := scanner{rest: value}
	for {
		name, ok := s.member()
		if !ok {
			return Compression{}, false
		}
		if name == nil {
			return c, true
		}
		offer, good := Compression{On: true, Bits: MaxWindow}, http1.EqualFold(name, "permessage-deflate")
		var seen [4]bool
		for {
			name, value, more, ok := s.parameter()
			if !ok {
				return Compression{}, false
			}
			if !more {
				break
			}
			good = good && offer.set(name, value, &seen)
		}
		if good && !c.On {
			c = offer
		}
	}
}

// set takes a parameter of an offer; false: the offer is to be declined. value is
// nil if there was none.
func (c *Compression) set(name, value []byte, seen *[4]bool) bool {
	known := []string{"server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits"}
	which := slices.Index(known, strings.ToLower(string(name)))
	if which < 0 || seen[which] {
		return false
	}
	seen[which] = true
	switch which {
	case 0, 1:
		return value == nil
	case 2:
		bits := windowBits(value)
		c.Bits, c.Limits = bits, true
		return bits > 0
	}
	// Messages of the client may have any window.
	return value == nil || windowBits(value) > 0
}

// windowBits reads a number from 8 to 15 without leading zeros; 0: it is none.
func windowBits(b []byte) uint8 {
	n, err := strconv.ParseUint(string(b), 10, 8)
	if err != nil || n < 8 || n > MaxWindow || b[0] == '0' {
		return 0
	}
	return uint8(n)
}

// scanner reads a list of names with parameters.
type scanner struct {
	rest []byte
	some bool // a member was read
}

// member goes to the next member and returns its name, nil at the end.
func (s *scanner) member() (name []byte, ok bool) {
	s.space()
	if s.some && len(s.rest) > 0 && s.rest[0] != ',' {
		return nil, false
	}
	s.rest = bytes.TrimLeft(s.rest, ", \t") // empty members are allowed (RFC 9110 §5.6.1.2)
	if len(s.rest) == 0 {
		return nil, true
	}
	s.some = true
	name = s.token()
	return name, name != nil
}

// parameter reads ";name" or ";name=value" if there is one more.
func (s *scanner) parameter() (name, value []byte, more, ok bool) {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != ';' {
		return nil, nil, false, true
	}
	s.rest = s.rest[1:]
	s.space()
	if name = s.token(); name == nil {
		return nil, nil, false, false
	}
	s.space()
	if len(s.rest) == 0 || s.rest[0] != '=' {
		return name, nil, true, true
	}
	s.rest = s.rest[1:]
	s.space()
	if len(s.rest) > 0 && s.rest[0] == '"' {
		value, ok = s.quoted()
		return name, value, true, ok
	}
	value = s.token()
	return name, value, true, value != nil
}

func (s *scanner) space() { s.rest = bytes.TrimLeft(s.rest, " \t") }

// token returns the token that comes next, nil if none does.
func (s *scanner) token() []byte {
	n := 0
	for n < len(s.rest) && http1.IsTokenByte(s.rest[n]) {
		n++
	}
	if n == 0 {
		return nil
	}
	t := s.rest[:n:n]
	s.rest = s.rest[n:]
	return t
}

// quoted reads a quoted string, whose content has to be a token (RFC 6455 §9.1).
func (s *scanner) quoted() (value []byte, ok bool) {
	b := s.rest[1:]
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			s.rest = b[i+1:]
			return value, len(value) > 0
		case '\\':
			i++
			if i == len(b) {
				return nil, false
			}
		}
		if !http1.IsTokenByte(b[i]) {
			return nil, false
		}
		value = append(value, b[i])
	}
	return nil, false
}

// IsToken reports whether b is a token (RFC 9110 §5.6.2), as a subprotocol has to be.
func IsToken(b []byte) bool { return httpguts.ValidHeaderFieldName(string(b)) }

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
	switch { // both take these sizes
	case w != nil:
		w.Reset(&f.out)
	case bits == MaxWindow:
		w, _ = flate.NewWriter(&f.out, flate.BestSpeed)
	default:
		w, _ = flate.NewWriterWindow(&f.out, 1<<bits)
	}
	f.writers[bits] = w
	_, _ = w.Write(b) // a Buffer does not fail
	_ = w.Flush()
	out = bytes.TrimSuffix(f.out.Bytes(), tailBytes[:4])
	return out, len(out) < len(b)
}
