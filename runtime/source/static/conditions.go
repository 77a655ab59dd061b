package static

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strconv"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// maxRanges limits the number of ranges in a request. A Range field with more ranges, or with ranges that together
// exceed the file, is ignored, as RFC 9110 §14.2 permits.
const maxRanges = 32

type byteRange struct{ start, count int64 }

// appendRanges parses a Range field (RFC 9110 §14.1.2) for a representation of the given size, and appends the
// satisfiable ranges. If no range is satisfiable, the response is 416. ok is false if the field must be ignored,
// because it is malformed or the file is empty.
func appendRanges(set []byteRange, value []byte, size int64) (_ []byteRange, ok bool) {
	unit, specs, found := bytes.Cut(value, []byte{'='})
	if !found || !http1.EqualFold(unit, "bytes") || size == 0 {
		return nil, false
	}
	seen, total := 0, int64(0)
	for spec := range bytes.SplitSeq(specs, []byte{','}) {
		if spec = bytes.Trim(spec, " \t"); len(spec) == 0 {
			continue
		}
		r, ok := parseRange(spec, size)
		seen++
		total += r.count
		if !ok || seen > maxRanges || total > size {
			return nil, false
		}
		if r.count > 0 {
			set = append(set, r)
		}
	}
	return set, seen > 0
}

// OneRange parses a Range field (RFC 9110 §14.1.2) for a body of size bytes. ok is false if all bytes must be sent,
// because the field is invalid or has several ranges. count is 0 if the range is beyond the end, so that the response
// is 416.
func OneRange(value []byte, size int64) (start, count int64, ok bool) {
	var buf [maxRanges]byteRange
	set, ok := appendRanges(buf[:0], value, size)
	if len(set) == 1 {
		start, count = set[0].start, set[0].count
	}
	return start, count, ok && len(set) <= 1
}

func parseRange(spec []byte, size int64) (r byteRange, ok bool) {
	before, after, found := bytes.Cut(spec, []byte{'-'})
	if !found {
		return r, false
	}
	if len(before) == 0 {
		suffix, ok := ParseDigits(after)
		count := min(suffix, size)
		return byteRange{size - count, count}, ok
	}
	first, ok := ParseDigits(before)
	if !ok {
		return r, false
	}
	last := int64(math.MaxInt64)
	if len(after) > 0 {
		if last, ok = ParseDigits(after); !ok || last < first {
			return r, false
		}
	}
	if first >= size {
		return byteRange{}, true
	}
	return byteRange{first, min(last, size-1) - first + 1}, true
}

// ParseDigits parses a number that consists of digits only. A number that is too large becomes the largest int64. n is
// 0 if ok is false.
func ParseDigits(s []byte) (n int64, ok bool) {
	if len(s) == 0 || len(bytes.TrimLeft(s, "0123456789")) > 0 {
		return 0, false
	}
	n, _ = strconv.ParseInt(string(s), 10, 64)
	return n, true
}

// onePart creates a response with a single range (RFC 9110 §15.3.7.1).
func (response *FileResponse) onePart(r *representation, part byteRange) {
	b := append(response.scratch[:0], r.fields...)
	b = AppendContentRange(b, part.start, part.count, r.size)
	response.scratch = b
	response.Head = exchange.Head{Status: 206, Fields: b, Length: part.count}
	response.add(r, part)
}

// manyParts creates a multipart/byteranges response (RFC 9110 §14.6).
func (response *FileResponse) manyParts(r *representation, parts []byteRange) {
	var buf [16]byte
	// The boundary has 13 unpredictable characters, so that nobody can write a file that contains the boundary.
	boundary := strconv.AppendUint(buf[:0], rand.Uint64()|1<<63, 36)

	b := append(append(response.scratch[:0], r.fields[:r.untyped]...), "Content-Type: multipart/byteranges; boundary="...)
	b = append(append(b, boundary...), "\r\n"...)
	fieldsEnd := len(b)

	// append may reallocate the slice b, so the heads of the parts are sliced only after b is complete.
	var ends [maxRanges]int
	delimiter := "--"
	for i, part := range parts {
		b = append(append(append(b, delimiter...), boundary...), "\r\n"...)
		b = append(b, r.fields[r.untyped:]...) // Content-Type
		b = append(AppendContentRange(b, part.start, part.count, r.size), "\r\n"...)
		ends[i], delimiter = len(b), "\r\n--"
	}
	b = append(append(append(b, delimiter...), boundary...), "--\r\n"...)
	response.scratch = b

	length := int64(len(b) - fieldsEnd)
	start := fieldsEnd
	for i, part := range parts {
		response.Segments = append(response.Segments, Segment{Data: b[start:ends[i]]})
		response.add(r, part)
		start = ends[i]
		length += part.count
	}
	response.Segments = append(response.Segments, Segment{Data: b[start:]})
	response.Head = exchange.Head{Status: 206, Fields: b[:fieldsEnd], Length: length}
}

func AppendContentRange(b []byte, start, count, size int64) []byte {
	b = strconv.AppendInt(append(b, "Content-Range: bytes "...), start, 10)
	b = strconv.AppendInt(append(b, '-'), start+count-1, 10)
	b = strconv.AppendInt(append(b, '/'), size, 10)
	return append(b, "\r\n"...)
}

// judge evaluates the preconditions in the order of RFC 9110 §13.2.2. judge returns the status 304, 412 or 200, which
// the caller changes to 206 for a range.
func (r *representation) judge(c *Conditions) int {
	if c.ifMatch {
		if !c.name("if-match", r.etag, false) {
			return 412
		}
	} else if c.ifUnmodifiedSince.set && r.lastModified != nil {
		if since, ok := http1.ParseDate(c.ifUnmodifiedSince.value); ok && r.modified > since {
			return 412
		}
	}
	if (c.ifNoneMatch || c.ifModifiedSince.set) && c.Unchanged(r.etag, r.lastModified) {
		return 304
	}
	return 200
}

// Unchanged reports whether the client already has the representation with this entity tag and this Last-Modified date,
// so that the response is 304 (RFC 9110 §13.1.2 and §13.1.3). Both arguments may be nil.
func (c *Conditions) Unchanged(etag, modified []byte) bool {
	since := c.ifModifiedSince.value
	switch {
	case c.ifNoneMatch:
		return c.name("if-none-match", bytes.TrimPrefix(etag, []byte("W/")), true)
	case len(since) == 0 || len(modified) == 0:
		return false
	case bytes.Equal(since, modified): // clients usually return the date that the server sent
		return true
	}
	have, ok := http1.ParseDate(since)
	changed, too := http1.ParseDate(modified)
	return ok && too && changed <= have
}

// name reports whether the list in a header field contains etag. field is the lower-case name of the header field.
func (c *Conditions) name(field string, etag []byte, weakToo bool) bool {
	for value := range http1.Values(c.head, c.fields, field) {
		if matchesTag(value, etag, weakToo) {
			return true
		}
	}
	return false
}

// Range returns the value of the Range field, or nil if the client has a part of a different representation: if
// If-Range (RFC 9110 §13.1.5) contains neither etag nor modified, the Last-Modified date. A weak entity tag in If-Range
// never matches.
func (c *Conditions) Range(etag, modified []byte) []byte {
	if own := c.ifRange.value; c.ifRange.set {
		validator := modified
		if bytes.HasPrefix(own, []byte{'"'}) {
			validator = etag
		}
		if len(own) == 0 || !bytes.Equal(own, validator) {
			return nil
		}
	}
	return c.byteRange.value
}

// Guarded reports whether the request has an If-Match or If-Unmodified-Since field, so that the response can be 412.
func (c *Conditions) Guarded() bool { return c.ifMatch || c.ifUnmodifiedSince.set }

// matchesTag reports whether a list of entity tags from the client contains etag (RFC 9110 §13.1.1 and §13.1.2). "*"
// matches every tag. etag is always strong, and a weak tag in the list matches only if weakToo is true.
func matchesTag(list, etag []byte, weakToo bool) bool {
	for {
		list = bytes.TrimLeft(list, " \t,")
		if len(list) == 0 {
			return false
		}
		if list[0] == '*' {
			return true
		}
		weak := len(list) > 2 && list[0] == 'W' && list[1] == '/'
		if weak {
			list = list[2:]
		}
		if list[0] != '"' || bytes.IndexByte(list[1:], '"') < 0 {
			return false
		}
		end := bytes.IndexByte(list[1:], '"') + 2
		if (!weak || weakToo) && string(list[:end]) == string(etag) {
			return true
		}
		list = list[end:]
	}
}

type Conditions struct {
	head   []byte
	fields []http1.Field

	// These fields contain lists and may be repeated, so only their presence is recorded.
	acceptEncoding, ifMatch, ifNoneMatch bool

	// These fields must not be repeated; a repeated field gets an empty value, which is invalid.
	ifModifiedSince, ifUnmodifiedSince, ifRange, byteRange single
}

type single struct {
	set   bool
	value []byte
}

func (s *single) add(value []byte) {
	if s.set {
		value = nil
	}
	s.set, s.value = true, value
}

// ReadConditions collects the conditional fields and the Range field of a request. The result refers to both slices.
func ReadConditions(head []byte, fields []http1.Field) Conditions {
	c := Conditions{head: head, fields: fields}
	for _, field := range fields {
		name, value := field.Name.In(head), field.Value.In(head)
		switch {
		case http1.EqualFold(name, "range"):
			c.byteRange.add(value)
		case http1.EqualFold(name, "if-match"):
			c.ifMatch = true
		case http1.EqualFold(name, "if-range"):
			c.ifRange.add(value)
		case http1.EqualFold(name, "if-none-match"):
			c.ifNoneMatch = true
		case http1.EqualFold(name, "accept-encoding"):
			c.acceptEncoding = true
		case http1.EqualFold(name, "if-modified-since"):
			c.ifModifiedSince.add(value)
		case http1.EqualFold(name, "if-unmodified-since"):
			c.ifUnmodifiedSince.add(value)
		}
	}
	return c
}
