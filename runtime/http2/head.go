package http2

import (
	"hash/maphash"

	"golang.org/x/net/http2/hpack"

	"fapws/runtime/http1"
)

// A headerBlock is a header block that arrives.
type headerBlock struct {
	http1.FieldBlock
	emit   func(hpack.HeaderField) // the method add, for the decoder
	id     uint32
	use    blockUse
	end    bool
	since  int64 // time of the first frame of the block
	frames int
	coded  int // number of received bytes, in HPACK code
}

type blockUse uint8

const (
	ofRequest blockUse = iota
	ofTrailers
	// a block of a stream that has ended; it must be decoded to update the dynamic table
	ofNothing
)

func newHeaderBlock() *headerBlock {
	b := new(headerBlock)
	b.emit = b.add
	return b
}

func (b *headerBlock) begin(id uint32, use blockUse, end bool, most int) {
	b.Reset(use == ofTrailers, most)
	b.id, b.use, b.end, b.since, b.frames, b.coded = id, use, end, 0, 0, 0
}

func (b *headerBlock) add(f hpack.HeaderField) {
	if b.use != ofNothing {
		b.Add(f.Name, f.Value)
	}
}

// A knownLine caches the HPACK code of a line in a response head, because most lines recur in many responses. Responses
// use no dynamic table, so the code is the same for all connections.
type knownLine struct {
	text string // the line in the form of HTTP/1, without CRLF
	// HPACK code (RFC 7541); empty if HTTP/2 does not permit the field
	coded []byte
}

var seed = maphash.MakeSeed()

const maxKnown = 200

// code returns the HPACK code of a line in a response head, valid until the next call.
func (s *Server) code(line []byte) []byte {
	known := &s.other
	if len(line) <= maxKnown {
		known = &s.known[maphash.Bytes(seed, line)%uint64(len(s.known))]
	}
	if known.text != string(line) {
		known.text, known.coded = string(line), known.coded[:0]
		if name, value, sensitive := http1.FieldOf(known.text); name != "" {
			s.coded.Reset()
			s.encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: sensitive})
			known.coded = append(known.coded, s.coded.Bytes()...)
		}
	}
	return known.coded
}

const emptyTable = 0x20 // sets the size of the dynamic table to 0 (RFC 7541 §6.3)

// makeEncoder makes an encoder without a dynamic table. The encoder writes the change of the table size before the
// first field. makeEncoder therefore encodes an empty field, whose code is discarded.
func (s *Server) makeEncoder() {
	s.encoder = hpack.NewEncoder(&s.coded)
	s.encoder.SetMaxDynamicTableSizeLimit(0)
	s.encoder.WriteField(hpack.HeaderField{})
}
