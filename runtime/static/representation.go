package static

import (
	"strconv"
	"time"

	"fapws/runtime/http1"
)

// description is what is known of a file before it is looked at.
type description struct {
	name      string // below the root
	mediaType string
	coding    coding
	varies    bool // there are variants of it, or it is one
	maxAge    int  // as Options.MaxAge
}

// representation is one file as it is sent: the original or a precompressed
// variant, in one state. It does not change once it is made.
type representation struct {
	description
	stamp stamp
	body  []byte // nil: on disk

	etag         []byte // quoted; nil if the file's time says nothing
	dated        bool   // there is a Last-Modified
	modified     int64  // seconds since 1970
	lastModified string

	// The fields of a response, in an order that makes those of a 304 and
	// those of a multipart response prefixes.
	fields  []byte
	short   int // fields[:short] are for 304 (RFC 9110 §15.4.5)
	untyped int // fields[:untyped] are all but Content-Type
}

// newRepresentation describes a file in a state that was seen at a time.
func newRepresentation(d description, s stamp, now int64) *representation {
	r := &representation{description: d, stamp: s}
	r.modified = time.Unix(0, s.modified).Unix()
	// Tools that make builds reproducible set all times to 0 or 1, which tells
	// no version from another. Nor may a date be in the future (RFC 9110
	// §8.8.2.1).
	timed := r.modified > 1
	r.dated = timed && s.modified <= now

	b := make([]byte, 0, 256)
	if timed {
		b = append(b, "ETag: "...)
		start := len(b)
		b = append(b, '"')
		b = strconv.AppendInt(b, s.modified, 36)
		b = append(b, '-')
		b = strconv.AppendInt(b, s.size, 36)
		if d.coding != identity {
			b = append(b, '-')
			b = append(b, codingNames[d.coding]...)
		}
		b = append(b, '"')
		r.etag = append(r.etag, b[start:]...)
		b = append(b, "\r\n"...)
	}
	if d.maxAge >= 0 {
		b = append(b, "Cache-Control: public, max-age="...)
		b = strconv.AppendInt(b, int64(d.maxAge), 10)
		b = append(b, "\r\n"...)
	}
	if d.varies {
		b = append(b, "Vary: Accept-Encoding\r\n"...)
	}
	r.short = len(b)
	if r.dated {
		r.lastModified = string(http1.AppendDate(nil, r.modified))
		b = append(b, "Last-Modified: "...)
		b = append(b, r.lastModified...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "Accept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n"...)
	if d.coding != identity {
		b = append(b, "Content-Encoding: "...)
		b = append(b, codingNames[d.coding]...)
		b = append(b, "\r\n"...)
	}
	r.untyped = len(b)
	b = append(b, "Content-Type: "...)
	b = append(b, d.mediaType...)
	b = append(b, "\r\n"...)
	r.fields = b
	return r
}

// withBody returns the same representation with its content.
func (r *representation) withBody(body []byte) *representation {
	loaded := *r
	loaded.body = body
	return &loaded
}

// cost is about how much memory a representation takes.
func (r *representation) cost() int {
	if r == nil {
		return 0
	}
	return 300 + len(r.name) + len(r.fields) + len(r.body)
}
