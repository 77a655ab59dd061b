package http1

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
)

// framing determines how the body is delimited (RFC 9112 §6.3) and processes Expect. framing is called only for heads
// with one of these fields.
func (r *Request) framing(head []byte) error {
	var length []byte
	// chunked is set if the last coding is chunked, unknown if some coding is not.
	var coded, chunked, unknown, expect bool
	kept := r.Fields[:0]
	for _, f := range r.Fields {
		name, value := f.Name.In(head), f.Value.In(head)
		switch {
		case EqualFold(name, "content-length"):
			// A server may accept repeated values if they are equal (RFC 9112 §6.3). Here the values must be equal
			// bytes, and Fields keeps one value.
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
		case EqualFold(name, "transfer-encoding"): // all such fields form one list
			coded = true
			for member := range members(value) {
				if len(member) == 0 || chunked { // chunked may occur once, as the last coding (RFC 9112 §6.1)
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
	// Two lengths, or a coding in HTTP/1.0, may be an attempt at request smuggling (RFC 9112 §6.1, §11.2).
	case coded && length != nil:
		return errLengthAndCoding
	case coded && r.Version == HTTP10:
		return errCodingOn10
	case coded && !chunked: // the length is unknown (RFC 9112 §6.3)
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
	chunkSizeLF // LF, after a CR
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart // start of a line after the last chunk
	lastLF
	chunkDone

	// Bytes before the following states count toward maxChunkOverhead.
	chunkSpace     // whitespace after a size, which an extension must follow
	chunkExtension // ";" and the text after it
	trailerName
	trailerValue
	trailerLF
)

// chunkStep permits the bytes of a class and the bytes in chars, and names the state after them.
type chunkStep struct {
	class uint8
	chars string
	next  chunkState
}

// chunkRules lists the permitted steps from each state, and the error for any other byte.
var chunkRules = [...]struct {
	err   *StatusError
	steps []chunkStep
}{
	chunkStart: {errChunkSize, []chunkStep{{isHex, "", chunkSize}}},
	chunkSize: {errChunkSize, []chunkStep{{isHex, "", chunkSize}, {0, "\r", chunkSizeLF}, {0, ";", chunkExtension},
		{0, " \t", chunkSpace}}},
	// BWS (RFC 9112 §7.1.1)
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

// ChunkedReader decodes a chunked body (RFC 9112 §7.1) that arrives in pieces of any size. ChunkedReader ignores chunk
// extensions, and checks and discards trailer fields (§7.1.2). Chunk extensions and trailer fields are limited in
// number and size. The zero value is ready for a body.
type ChunkedReader struct {
	// remaining bytes of the current chunk or, while the size of a chunk arrives, the size so far
	left     int64
	overhead int32
	trailers int16
	digits   uint8
	state    chunkState
}

func (d *ChunkedReader) Done() bool { return d.state == chunkDone }

func (d *ChunkedReader) Left() int64 {
	if d.state != chunkData {
		return 0 // the number in left may be incomplete
	}
	return d.left
}

// Next decodes the start of src. Next returns the next piece of the body, which is part of src and may be empty, and
// the number of consumed bytes. Call it again with the rest until Done. ErrNeedMore means that all of src was consumed,
// data is empty, and the body continues. Other errors are *StatusErrors. Next never consumes bytes after the end of the
// body.
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
	if d.overhead > maxChunkOverhead || d.trailers > MaxTrailers {
		return errChunkOverhead
	}
	d.state = next
	return nil
}

// AppendChunkHeader appends the line before size bytes of data in a chunked body (RFC 9112 §7.1). The parameter size
// must be greater than 0, because an empty chunk ends the body.
func AppendChunkHeader(dst []byte, size int64) []byte {
	dst = strconv.AppendInt(dst, size, 16)
	return append(dst, '\r', '\n')
}

// Limits of trailer fields (RFC 9110 §6.5) in requests and responses. WSGI_TRAILERS_MAX in pybridge/wsgi.h and the
// constant after it must be equal.
const (
	MaxTrailers = 100
	// bytes of all names and values, including ": " and CRLF
	MaxTrailerBytes = 16 << 10
)

// NotTrailers lists the fields that a response must not have as trailers, in lower case: fields for framing, routing,
// authentication, caches, the content, and the server itself (RFC 9110 §6.5.1). A name that ends with "-" is a
// prefix. pybridge/asgi_http.c has the same list.
var NotTrailers = []string{
	"age", "authorization", "cache-control", "connection", "content-", "cookie", "date", "expect", "expires",
	"fapws-channel", "host", "if-",
	"keep-alive", "location", "max-forwards", "pragma", "proxy-", "range", "retry-after", "set-cookie", "set-cookie2",
	"te", "trailer",
	"transfer-encoding", "upgrade", "vary", "warning", "www-authenticate", "x-accel-redirect", "x-sendfile",
}

// ValidTrailer reports whether name is a token that NotTrailers does not exclude.
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
