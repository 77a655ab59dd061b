package http1

import (
	"bytes"
	"math"
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
		case equalFold(name, "content-length"):
			first := length
			n, err := contentLength(value, &length)
			if err != nil {
				return err
			}
			if first != nil {
				continue
			}
			f.Value.Len = n
		case equalFold(name, "transfer-encoding"):
			if err := coding.add(value); err != nil {
				return err
			}
		case equalFold(name, "expect") && r.Version > HTTP10: // RFC 9110 §10.1.1: ignored in HTTP/1.0
			if !equalFold(value, "100-continue") {
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
	r.Expect100 = expect && (r.Body == Chunked || r.Length > 0)
	return nil
}

// contentLength compares the members of a Content-Length value with length,
// which it sets if it is nil, and returns the length of the first member. RFC
// 9112 §6.3 lets a server accept a repeated value if all are the same; they
// must be byte for byte, and Fields then has a single one.
func contentLength(value []byte, length *[]byte) (first uint32, err error) {
	for n := 0; ; n++ {
		i := bytes.IndexByte(value, ',')
		member := value
		if i >= 0 {
			member = value[:i]
		}
		member = trim(member)
		if len(member) == 0 {
			return 0, errLength
		}
		if *length == nil {
			*length = member
		} else if !bytes.Equal(*length, member) {
			return 0, errLengths
		}
		if n == 0 {
			first = uint32(len(member))
		}
		if i < 0 {
			return first, nil
		}
		value = value[i+1:]
	}
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
	for {
		i := bytes.IndexByte(list, ',')
		member := list
		if i >= 0 {
			member = list[:i]
		}
		member = trim(member)
		switch {
		case len(member) == 0:
			return errCoding
		case c.chunked: // RFC 9112 §6.1: once, and last
			return errCoding
		case equalFold(member, "chunked"):
			c.chunked = true
		default:
			c.unknown = true
		}
		if i < 0 {
			return nil
		}
		list = list[i+1:]
	}
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
