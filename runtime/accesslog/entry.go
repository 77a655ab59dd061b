package accesslog

import "time"

// Entry is one answered request. Its slices are read during Append only.
type Entry struct {
	Addr, Port           string // of the client; empty (a unix socket) is "-"
	PeerAddr             string // of the other end of the connection: a proxy, or the client
	LocalAddr, LocalPort string // that the connection came to
	Site                 string // canonical name of the host that answers; empty: LocalAddr
	Scheme               string // empty: http
	User                 string // the logged-in user; empty: none
	RequestLine          []byte // as received, without CRLF; empty: none came
	Handler              string // the kind of source that answered; empty is "-"
	File                 []byte // path that files were asked for; empty is "-"

	Time     time.Time     // when the request arrived; written in its own zone, the same for all entries
	Duration time.Duration // from arrival to the last byte handed to the kernel

	Status    int
	BytesSent int64 // bytes of the body, without framing
	WireIn    int64 // bytes of the request with its head
	WireOut   int64 // bytes of the response with its head and framing
	Earlier   int   // requests before on the connection
	Aborted   bool  // the client left before the end
	KeepAlive bool  // the connection goes on

	// Request and Response are the header fields that the Format asks for, in the
	// order of Format.Request and Format.Response.
	Request, Response []Value
}

// Value is the value of a header field, or none. It can be used again.
type Value struct {
	Text  []byte
	There bool
}

// Add sets the value or, when the field comes once more, adds to it
// (RFC 9110 §5.3).
func (v *Value) Add(text []byte) {
	if v.There {
		v.Text = append(v.Text, ", "...)
	}
	v.Text, v.There = append(v.Text, text...), true
}

// Begin makes e an entry without anything for a Log of format f. It keeps the
// memory of its slices.
func (e *Entry) Begin(f *Format) {
	*e = Entry{
		RequestLine: e.RequestLine[:0],
		File:        e.File[:0],
		Request:     cleared(e.Request, len(f.Request)),
		Response:    cleared(e.Response, len(f.Response)),
	}
}

func cleared(values []Value, n int) []Value {
	if cap(values) < n {
		values = append(values[:cap(values)], make([]Value, n-cap(values))...)
	}
	values = values[:n]
	for i := range values {
		values[i].Text, values[i].There = values[i].Text[:0], false
	}
	return values
}
