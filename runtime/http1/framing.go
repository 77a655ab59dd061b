package http1

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// framing decides how the body is delimited (RFC 9112 §6.3) and reads Expect.
// It runs only for heads that have one of these fields.
func (r *Request) framing(head []byte) error {
	var coding codings
	var length []byte
	expect := false
	kept := r.Fields[:0]
	for _, f := range r.Fields {
		name, value := f.Name.In(head), f.Value.In(head)
		switch {
		case EqualFold(name, "content-length"):
			first := length
			n, err := contentLength(value, &length)
			if err != nil {
				return err
			}
			if first != nil {
				continue
			}
			f.Value.Len = n
		case EqualFold(name, "transfer-encoding"):
			if err := coding.add(value); err != nil {
				return err
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
	case coding.any:
		// A message with both, or with a coding that its version does not
		// have, may be an attempt to smuggle (RFC 9112 §6.1, §11.2).
		if length != nil {
			return errLengthAndCoding
		}
		if r.Version == HTTP10 {
			return errCodingOn10
		}
		if err := coding.end(); err != nil {
			return err
		}
		r.Body = Chunked
	case length != nil:
		n, err := parseLength(length)
		if err != nil {
			return err
		}
		r.Body, r.Length = Sized, n
	}
	r.HasBody = r.Body == Chunked || r.Length > 0
	r.Expect100 = expect && r.HasBody
	return nil
}

// contentLength compares the members of a Content-Length value with length,
// which it sets if it is nil, and returns the length of the first member. RFC
// 9112 §6.3 lets a server accept a repeated value if all are the same; they
// must be byte for byte, and Fields then has a single one.
func contentLength(value []byte, length *[]byte) (first uint32, err error) {
	for more := true; more; {
		var member []byte
		member, value, more = nextMember(value)
		switch {
		case len(member) == 0:
			return 0, errLength
		case *length == nil:
			*length = member
		case !bytes.Equal(*length, member):
			return 0, errLengths
		}
		if first == 0 {
			first = uint32(len(member))
		}
	}
	return first, nil
}

// parseLength reads 1*DIGIT (RFC 9110 §8.6) into an int64.
func parseLength(b []byte) (n int64, err error) {
	for _, c := range b {
		d := int64(c) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, errLength
		}
		n = n*10 + d
	}
	return n, nil
}

// codings judges Transfer-Encoding, whose fields together are one list.
type codings struct {
	any     bool
	chunked bool // the last one is
	unknown bool
}

func (c *codings) add(list []byte) error {
	c.any = true
	for more := true; more; {
		var member []byte
		member, list, more = nextMember(list)
		switch {
		case len(member) == 0, c.chunked: // RFC 9112 §6.1: once, and last
			return errCoding
		case EqualFold(member, "chunked"):
			c.chunked = true
		default:
			c.unknown = true
		}
	}
	return nil
}

// end answers for the list as a whole: 400 without chunked at its end, since
// the length is then unknown (RFC 9112 §6.3), 501 for what else is in it (§6.1).
func (c *codings) end() error {
	if !c.chunked {
		return errCoding
	}
	if c.unknown {
		return errUnknownCoding
	}
	return nil
}

// Bounds of a chunked body beside its data; they are not worth a setting.
const (
	maxChunkDigits   = 16
	maxChunkOverhead = 16 << 10 // bytes of all chunk extensions and trailers of a body
)

type chunkState uint8

const (
	chunkSize      chunkState = iota // the digits of a size
	chunkSpace                       // whitespace after it: an extension must follow
	chunkExtension                   // ";" and the text behind it
	chunkSizeLF                      // CR seen
	chunkData
	chunkDataCR // CR LF behind the data
	chunkDataLF
	trailerStart // at the start of a line behind the last chunk
	trailerName
	trailerValue
	trailerLF
	lastLF // CR of the empty line seen
	chunkDone
)

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
	switch d.state {
	case chunkSize:
		return d.size(c)
	case chunkSpace:
		switch c {
		case ' ', '\t':
		case ';':
			d.state = chunkExtension
		default:
			return errChunkSize
		}
		return d.count()
	case chunkExtension:
		if c == '\r' {
			d.state = chunkSizeLF
			return nil
		}
		if class[c]&isValue == 0 {
			return errChunkEnd
		}
		return d.count()
	case chunkSizeLF:
		if c != '\n' {
			return errChunkEnd
		}
		d.digits = 0
		d.state = chunkData
		if d.left == 0 {
			d.state = trailerStart
		}
	case chunkDataCR:
		if c != '\r' {
			return errChunkEnd
		}
		d.state = chunkDataLF
	case chunkDataLF:
		if c != '\n' {
			return errChunkEnd
		}
		d.state = chunkSize
	default:
		return d.trailer(c)
	}
	return nil
}

func (d *ChunkedReader) size(c byte) error {
	if class[c]&isHex != 0 {
		if d.digits++; d.digits > maxChunkDigits || d.left > math.MaxInt64>>4 {
			return errChunkSize
		}
		d.left = d.left<<4 | int64(unhex(c))
		return nil
	}
	if d.digits == 0 {
		return errChunkSize
	}
	switch c {
	case '\r':
		d.state = chunkSizeLF
	case ';':
		d.state = chunkExtension
		return d.count()
	case ' ', '\t': // BWS before ";" (RFC 9112 §7.1.1)
		d.state = chunkSpace
		return d.count()
	default:
		return errChunkSize
	}
	return nil
}

// trailer takes a byte behind the last chunk: field lines, then an empty line.
func (d *ChunkedReader) trailer(c byte) error {
	switch d.state {
	case trailerStart:
		if c == '\r' {
			d.state = lastLF
			return nil
		}
		if class[c]&isToken == 0 {
			return errTrailer
		}
		if d.trailers++; d.trailers > MaxTrailers {
			return errChunkOverhead
		}
		d.state = trailerName
	case trailerName:
		if c == ':' {
			d.state = trailerValue
		} else if class[c]&isToken == 0 {
			return errTrailer
		}
	case trailerValue:
		if c == '\r' {
			d.state = trailerLF
		} else if class[c]&isValue == 0 {
			return errTrailer
		}
	case trailerLF, lastLF:
		if c != '\n' {
			return errTrailer
		}
		if d.state == lastLF {
			d.state = chunkDone
			return nil
		}
		d.state = trailerStart
	}
	return d.count()
}

func (d *ChunkedReader) count() error {
	if d.overhead++; d.overhead > maxChunkOverhead {
		return errChunkOverhead
	}
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
