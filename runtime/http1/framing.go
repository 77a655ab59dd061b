package http1

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
)

// framing determines how the body is delimited (RFC 9112 §6.3) and evaluates the Expect field. framing is called only
// for heads that contain Content-Length, Transfer-Encoding or Expect.
func (r *Request) framing(head []byte) error {
	var length []byte
	// chunked is true if the last transfer coding is "chunked"; unknown is true if any coding is not "chunked".
	var coded, chunked, unknown, expect bool
	kept := r.Fields[:0]
	for _, f := range r.Fields {
		name, value := f.Name.In(head), f.Value.In(head)
		switch {
		case EqualFold(name, "content-length"):
			// A server may accept repeated Content-Length values if they are equal (RFC 9112 §6.3). This server
			// requires that their bytes are equal, and Request.Fields keeps only one.
			again := length != nil
			for member := range members(value) {
				switch {
				case len(member) == 0:
					return errLength
				case length == nil:
					length = member
				case !bytes.Equal(length, member):
					return errLengths
				}
			}
			if again {
				continue
			}
			f.Value.Len = uint32(len(length))
		case EqualFold(name, "transfer-encoding"): // all Transfer-Encoding fields form one list
			coded = true
			for member := range members(value) {
				// "chunked" may occur only once, as the last coding (RFC 9112 §6.1)
				if len(member) == 0 || chunked {
					return errCoding
				}
				chunked = EqualFold(member, "chunked")
				unknown = unknown || !chunked
			}
		case EqualFold(name, "expect") && r.Version > HTTP10: // ignored in HTTP/1.0 (RFC 9110 §10.1.1)
			if !EqualFold(value, "100-continue") {
				return errExpectation
			}
			expect = true
		}
		kept = append(kept, f)
	}
	r.Fields = kept

	switch {
	// A length together with a coding, or a coding in HTTP/1.0, can be an attempt at request smuggling (RFC 9112 §6.1,
	// §11.2).
	case coded && length != nil:
		return errLengthAndCoding
	case coded && r.Version == HTTP10:
		return errCodingOn10
	case coded && !chunked: // the length of the body is unknown (RFC 9112 §6.3)
		return errCoding
	case unknown: // RFC 9112 §6.1
		return errUnknownCoding
	case coded:
		r.Body = Chunked
	case length != nil:
		n, err := strconv.ParseUint(string(length), 10, 63) // RFC 9110 §8.6
		if err != nil {
			return errLength
		}
		r.Body, r.Length = Sized, int64(n)
	}
	r.HasBody = r.Body == Chunked || r.Length > 0
	r.Expect100 = expect && r.HasBody
	return nil
}

const (
	maxChunkDigits   = 16
	maxChunkOverhead = 16 << 10 // limit of all chunk extensions and trailers of a body, in bytes
)

type chunkState uint8

const (
	chunkStart chunkState = iota
	chunkSize
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart // start of a line after the last chunk
	lastLF
	chunkDone

	// Bytes that lead to one of the following states count towards maxChunkOverhead.
	chunkSpace     // whitespace after a chunk size; an extension must follow
	chunkExtension // ";" and the text after it
	trailerName
	trailerValue
	trailerLF
)

// chunkStep is a permitted step of the chunk parser. A byte of the class, or a byte in chars, leads to the next state.
type chunkStep struct {
	class uint8
	chars string
	next  chunkState
}

// chunkRules lists the permitted steps from each state, and the error for a byte that no step permits.
var chunkRules = [...]struct {
	err   *StatusError
	steps []chunkStep
}{
	chunkStart: {errChunkSize, []chunkStep{{isHex, "", chunkSize}}},
	chunkSize: {errChunkSize, []chunkStep{{isHex, "", chunkSize}, {0, "\r", chunkSizeLF}, {0, ";", chunkExtension},
		{0, " \t", chunkSpace}}},
	// "bad whitespace" (RFC 9112 §7.1.1)
	chunkSpace:     {errChunkSize, []chunkStep{{0, " \t", chunkSpace}, {0, ";", chunkExtension}}},
	chunkExtension: {errChunkEnd, []chunkStep{{isValue, "", chunkExtension}, {0, "\r", chunkSizeLF}}},
	chunkSizeLF:    {errChunkEnd, []chunkStep{{0, "\n", chunkData}}},
	chunkDataCR:    {errChunkEnd, []chunkStep{{0, "\r", chunkDataLF}}},
	chunkDataLF:    {errChunkEnd, []chunkStep{{0, "\n", chunkStart}}},
	trailerStart:   {errTrailer, []chunkStep{{isToken, "", trailerName}, {0, "\r", lastLF}}},
	trailerName:    {errTrailer, []chunkStep{{isToken, "", trailerName}, {0, ":", trailerValue}}},
	trailerValue:   {errTrailer, []chunkStep{{isValue, "", trailerValue}, {0, "\r", trailerLF}}},
	trailerLF:      {errTrailer, []chunkStep{{0, "\n", trailerStart}}},
	lastLF:         {errTrailer, []chunkStep{{0, "\n", chunkDone}}},
}

// ChunkedReader decodes a chunked body (RFC 9112 §7.1) that arrives in pieces of any size. It ignores chunk extensions,
// and checks trailer fields (§7.1.2). The size of both is limited. The zero value is ready for a body.
type ChunkedReader struct {
	// Trailers, if not nil, gets the trailer fields, as lines of the form "name:value\r\n". Their number is then not
	// limited, and their size may be four times as large, because the caller judges them.
	Trailers *[]byte
	// number of bytes missing from the current chunk; while a chunk size arrives, the value of the digits so far
	left     int64
	overhead int32
	trailers int16
	digits   uint8
	state    chunkState
}

func (d *ChunkedReader) Done() bool { return d.state == chunkDone }

func (d *ChunkedReader) Left() int64 {
	if d.state != chunkData {
		return 0 // outside of chunk data, d.left is 0 or an incomplete chunk size
	}
	return d.left
}

// Next decodes the start of src. The result data is the next piece of the body: a slice of src, which may be empty; n
// is the number of consumed bytes. The caller must call Next again with the remaining bytes until d.Done returns true.
// The error ErrNeedMore means that all of src was consumed, data is empty, and the body continues. All other errors
// have the type *StatusError. Next never consumes bytes after the end of the body.
func (d *ChunkedReader) Next(src []byte) (data []byte, n int, err error) {
	for n < len(src) {
		if d.state == chunkData {
			k := int(min(int64(len(src)-n), d.left))
			d.left -= int64(k)
			if d.left == 0 {
				d.state = chunkDataCR
			}
			return src[n : n+k : n+k], n + k, nil
		}
		if err := d.step(src[n]); err != nil {
			return nil, n, err
		}
		n++
		if d.state == chunkDone {
			return nil, n, nil
		}
	}
	if d.state == chunkDone {
		return nil, n, nil
	}
	return nil, n, ErrNeedMore
}

func (d *ChunkedReader) step(c byte) error {
	rule := &chunkRules[d.state]
	at := slices.IndexFunc(rule.steps, func(s chunkStep) bool {
		return class[c]&s.class != 0 || strings.IndexByte(s.chars, c) >= 0
	})
	if at < 0 {
		return rule.err
	}
	next := rule.steps[at].next
	switch {
	case next == chunkSize:
		if d.digits++; d.digits > maxChunkDigits || d.left > math.MaxInt64>>4 {
			return errChunkSize
		}
		d.left = d.left<<4 | int64(unhex(c))
	case next == chunkData:
		if d.digits = 0; d.left == 0 {
			next = trailerStart
		}
	case next == trailerName && d.state == trailerStart:
		d.trailers++
	}
	if next >= chunkSpace {
		d.overhead++
	}
	if d.Trailers != nil && (next >= trailerName || next == trailerStart && d.state == trailerLF) {
		*d.Trailers = append(*d.Trailers, c)
	}
	if d.overhead > maxChunkOverhead || d.trailers > MaxTrailers {
		if d.Trailers == nil || d.overhead > 4*maxChunkOverhead {
			return errChunkOverhead
		}
	}
	d.state = next
	return nil
}

// A BodyReader finds the end of the body of a request or response, and decodes a chunked body.
type BodyReader struct {
	IsChunked bool
	Chunks    ChunkedReader
	// number of bytes that must still arrive, if the body is not chunked
	Missing int64
}

// Decode decodes the bytes of b at the front of data. piece is the content, a slice of data in which Decode has joined
// the chunks. If the body is complete, whole is true and rest is the input after the body. The error is a *StatusError.
func (b *BodyReader) Decode(data []byte) (piece, rest []byte, whole bool, err error) {
	if !b.IsChunked {
		k := min(b.Missing, int64(len(data)))
		b.Missing -= k
		return data[:k], data[k:], b.Missing == 0, nil
	}
	// data[:at] is the input that is decoded already, and data[from:to] is its content
	from, to, at := 0, 0, 0
	for {
		next, n, err := b.Chunks.Next(data[at:])
		at += n
		if err != nil && err != ErrNeedMore {
			return nil, nil, false, err
		}
		if from == to {
			from, to = at-len(next), at
		} else {
			to += copy(data[to:], next)
		}
		if err != nil || b.Chunks.Done() {
			return data[from:to], data[at:], err == nil, nil
		}
	}
}

// AppendChunkHeader appends the line that precedes a chunk of size bytes (RFC 9112 §7.1). The size must not be 0,
// because an empty chunk ends the body.
func AppendChunkHeader(dst []byte, size int64) []byte {
	dst = strconv.AppendInt(dst, size, 16)
	return append(dst, '\r', '\n')
}

// Limits for trailer fields (RFC 9110 §6.5) in requests and responses. CORE_TRAILERS_MAX and the constant after it in
// pybridge/core.h must have the same values.
const (
	MaxTrailers = 100
	// total size of the trailer fields in bytes, including ": " and CRLF
	MaxTrailerBytes = 16 << 10
)

// NotTrailers lists the fields, in lower case, that a response must not send as trailer fields (RFC 9110 §6.5.1). They
// concern framing, routing, authentication, caches or the content, or only the server sets them. A name that ends with
// "-" is a prefix. pybridge/asgi_http.c contains the same list.
var NotTrailers = []string{
	"age", "authorization", "cache-control", "connection", "content-", "cookie", "date", "expect", "expires",
	"fapws-channel", "host", "if-",
	"keep-alive", "location", "max-forwards", "pragma", "proxy-", "range", "retry-after", "set-cookie", "set-cookie2",
	"te", "trailer",
	"transfer-encoding", "upgrade", "vary", "warning", "www-authenticate", "x-accel-redirect", "x-sendfile",
}

// ValidTrailer reports whether name is a token and is not in NotTrailers.
func ValidTrailer(name string) bool {
	if name == "" || !all([]byte(name), isToken) {
		return false
	}
	name = strings.ToLower(name)
	if name == "content-digest" { // permitted as a trailer (RFC 9530 §2)
		return true
	}
	for _, not := range NotTrailers {
		if name == not || not[len(not)-1] == '-' && strings.HasPrefix(name, not) {
			return false
		}
	}
	return true
}
