package static

import (
	"math/rand/v2"
	"strconv"

	"fapws/runtime/exchange"
)

// partial is a 206 with one range or several.
func (out *Response) partial(r *representation, parts []byteRange) {
	if len(parts) == 1 {
		out.onePart(r, parts[0])
	} else {
		out.manyParts(r, parts)
	}
}

// onePart is a 206 with one range (RFC 9110 §15.3.7.1).
func (out *Response) onePart(r *representation, part byteRange) {
	b := append(out.scratch[:0], r.fields...)
	b = appendContentRange(b, part, r.size)
	out.scratch = b
	out.Head = exchange.Head{Status: 206, Fields: b, Length: part.count}
	out.add(r, part)
}

// manyParts is a 206 with several ranges, as multipart/byteranges
// (RFC 9110 §14.6).
func (out *Response) manyParts(r *representation, parts []byteRange) {
	var boundary [16]byte
	newBoundary(boundary[:])

	b := append(out.scratch[:0], r.fields[:r.untyped]...)
	b = append(b, "Content-Type: multipart/byteranges; boundary="...)
	b = append(b, boundary[:]...)
	b = append(b, "\r\n"...)
	fieldsEnd := len(b)

	// b moves while it grows, so the parts' heads are found again afterwards.
	var ends [maxRanges]int
	for i, part := range parts {
		if i > 0 {
			b = append(b, "\r\n"...)
		}
		b = append(b, "--"...)
		b = append(b, boundary[:]...)
		b = append(b, "\r\nContent-Type: "...)
		b = append(b, r.mediaType...)
		b = append(b, "\r\n"...)
		b = appendContentRange(b, part, r.size)
		b = append(b, "\r\n"...)
		ends[i] = len(b)
	}
	lastHead := len(b)
	b = append(b, "\r\n--"...)
	b = append(b, boundary[:]...)
	b = append(b, "--\r\n"...)
	out.scratch = b

	length := int64(len(b) - fieldsEnd)
	start := fieldsEnd
	for i, part := range parts {
		out.Segments = append(out.Segments, Segment{Data: b[start:ends[i]]})
		out.add(r, part)
		start = ends[i]
		length += part.count
	}
	out.Segments = append(out.Segments, Segment{Data: b[lastHead:]})
	out.Head = exchange.Head{Status: 206, Fields: b[:fieldsEnd], Length: length}
}

// newBoundary fills b with letters and digits that cannot be foreseen, and put into a file.
func newBoundary(b []byte) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz012345"
	for i := range b {
		b[i] = alphabet[rand.Uint32N(uint32(len(alphabet)))]
	}
}

func appendContentRange(b []byte, part byteRange, size int64) []byte {
	b = append(b, "Content-Range: bytes "...)
	b = strconv.AppendInt(b, part.start, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, part.last(), 10)
	b = append(b, '/')
	b = strconv.AppendInt(b, size, 10)
	return append(b, "\r\n"...)
}
