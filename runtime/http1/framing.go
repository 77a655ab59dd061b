package http1

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
)

// framing decides how the body is delimited (RFC 9112 §6.3) and reads Expect.
// It runs only for heads that have one of these fields.
func (r *Request) framing(head []byte) error {
	var length []byte
	var coded, chunked, unknown, expect bool // chunked: the last coding is; unknown: another one is none that is known
	kept := r.Fields[:0]
	for _, f := range r.Fields {
		name, value := f.Name.In(head), f.Value.In(head)
		switch {
		case EqualFold(name, "content-length"):
			// RFC 9112 §6.3 lets a server accept a repeated value if all are the same; they must be byte for byte, and Fields then has a single one.
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
		case EqualFold(name, "transfer-encoding"): // all such fields together are one list
			coded = true
			for member := range members(value) {
				if len(member) == 0 || chunked { // RFC 9112 §6.1: once, and last
					return errCoding
				}
				chunked = EqualFold(member, "chunked")
				unknown = unknown || !chunked
			}
		case EqualFold(name, "expect") && r.Version > HTTP10: // RFC 9110 §10.1.1: ignored in HTTP/1.0
			if !EqualFold(value, "100-continue") {
				return errExpectation
			}
			expect = true
		}
		kept = append(kept, f)
	}
	r.Fields = kept

	switch {
	case coded && length != nil: // this, or a coding that its version does not have, may be an attempt to smuggle (RFC 9112 §6.1, §11.2)
		return errLengthAndCoding
	case coded && r.Version == HTTP10:
		return errCodingOn10
	case coded && !chunked: // the length is not known (RFC 9112 §6.3)
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

// Bounds of a chunked body beside its data; they are not worth a setting.
const (
	maxChunkDigits   = 16
	maxChunkOverhead = 16 << 10 // bytes of all chunk extensions and trailers of a body
)

// chunkState is what comes next in a chunked body.
type chunkState uint8

const (
	chunkStart  chunkState = iota // the first digit of a size
	chunkSize                     // more digits
	chunkSizeLF                   // CR seen
	chunkData
	chunkDataCR // CR LF behind the data
	chunkDataLF
	trailerStart // at the start of a line behind the last chunk
	lastLF       // CR of the empty line seen
	chunkDone

	// Bytes before these count: see maxChunkOverhead.
	chunkSpace     // whitespace behind a size: an extension must follow
	chunkExtension // ";" and the text behind it
	trailerName
	trailerValue
	trailerLF
)

// chunkStep says which bytes are allowed, those of a class and some others, and what comes next behind them.
type chunkStep struct {
	class uint8
	chars string
	next  chunkState
}

// chunkRules are the steps from each state, and the error for all other bytes.
var chunkRules = [...]struct {
	err   *StatusError
	steps []chunkStep
}{
	chunkStart:     {errChunkSize, []chunkStep{{isHex, "", chunkSize}}},
	chunkSize:      {errChunkSize, []chunkStep{{isHex, "", chunkSize}, {0, "\r", chunkSizeLF}, {0, ";", chunkExtension}, {0, " \t", chunkSpace}}},
	chunkSpace:     {errChunkSize, []chunkStep{{0, " \t", chunkSpace}, {0, ";", chunkExtension}}}, // BWS (RFC 9112 §7.1.1)
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

// ChunkedReader decodes a chunked body (RFC 9112 §7.1) that arrives in pieces
// of any size. Chunk extensions are ignored, trailer fields are checked and
// dropped (§7.1.2), both are bounded in number and bytes. The zero value is
// ready for a body.
type ChunkedReader struct {
	left     int64 // bytes of the chunk not seen yet, or its size while that is read
	overhead int32
	trailers int16
	digits   uint8
	state    chunkState
}

// Done reports whether the body and its trailers have ended.
func (d *ChunkedReader) Done() bool { return d.state == chunkDone }

// Left is how many bytes the chunk that has been announced has yet.
func (d *ChunkedReader) Left() int64 {
	if d.state != chunkData {
		return 0 // left may be half of a number
	}
	return d.left
}

// Next decodes the front of src. It returns the next piece of the body, which
// is part of src and may be empty, and how many bytes of src it took. Call it
// again with the rest until Done. ErrNeedMore says that all of src was taken
// (no data is returned with it) and the body goes on; other errors are a
// *StatusError. It takes nothing beyond the end of the body.
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

// step takes one byte of anything but data.
func (d *ChunkedReader) step(c byte) error {
	rule := &chunkRules[d.state]
	at := slices.IndexFunc(rule.steps, func(s chunkStep) bool { return class[c]&s.class != 0 || strings.IndexByte(s.chars, c) >= 0 })
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
	if d.overhead > maxChunkOverhead || d.trailers > MaxTrailers {
		return errChunkOverhead
	}
	d.state = next
	return nil
}

// AppendChunkHeader appends the line before size bytes of data in a chunked body (RFC 9112 §7.1). size must be more
// than 0, since an empty chunk would end the body.
func AppendChunkHeader(dst []byte, size int64) []byte {
	dst = strconv.AppendInt(dst, size, 16)
	return append(dst, '\r', '\n')
}

// Limits of the trailer fields behind a body (RFC 9110 §6.5), in requests and in responses. WSGI_TRAILERS_MAX of pybridge/wsgi.h and the
// number beside it are the same.
const (
	MaxTrailers     = 100      // fields
	MaxTrailerBytes = 16 << 10 // of all names and values, with ": " and CRLF
)

// NotTrailers are the fields that a response must not have as trailers, in lower case: those for framing,
// routing, authentication and caches, about the content, and for the server itself (RFC 9110 §6.5.1). A name that ends with "-" stands for all names that begin with it. pybridge/asgi_http.c has the
// same list.
var NotTrailers = []string{
	"age", "authorization", "cache-control", "connection", "content-", "cookie", "date", "expect", "expires", "fapws-channel", "host", "if-",
	"keep-alive", "location", "max-forwards", "pragma", "proxy-", "range", "retry-after", "set-cookie", "set-cookie2", "te", "trailer",
	"transfer-encoding", "upgrade", "vary", "warning", "www-authenticate", "x-accel-redirect", "x-sendfile",
}

// ValidTrailer reports whether a response may have a field with that name behind its body.
func ValidTrailer(name string) bool {
	if name == "" || !all([]byte(name), isToken) {
		return false
	}
	name = strings.ToLower(name)
	if name == "content-digest" { // RFC 9530 §2 allows it as a trailer
		return true
	}
	for _, not := range NotTrailers {
		if name == not || not[len(not)-1] == '-' && strings.HasPrefix(name, not) {
			return false
		}
	}
	return true
}
